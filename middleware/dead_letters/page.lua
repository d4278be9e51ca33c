-- Reads a page of dead letters, the newest first.
--
-- KEYS: base
-- DERIVED: <base>:<index> (sorted by cursor), <base>:entries (hash id -> letter)
-- ARGV: index after limit
--   index: like "all" or "category:network:org:acme"; after: a cursor, or "" to begin with the newest.
-- Returns: the letters.

local base = KEYS[1]
local newest = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local cursors = redis.call('ZREVRANGEBYLEX', base .. ':' .. ARGV[1], newest, '-', 'LIMIT', 0, ARGV[3])
if #cursors == 0 then return {} end

local ids = {}
for at, cursor in ipairs(cursors) do
  ids[at] = string.sub(cursor, string.find(cursor, ':', 1, true) + 1)
end
return redis.call('HMGET', base .. ':entries', unpack(ids))
