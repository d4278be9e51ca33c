-- Removes dead letters.
--
-- KEYS: base
-- DERIVED: as in put.lua
-- ARGV: org, then ids
--   org: whose letters alone may go; "" when anybody's may.
-- Returns: how many were there and are gone.

local base, allowed = KEYS[1], ARGV[1]
local gone = 0

for at = 2, #ARGV do
  local id = ARGV[at]
  local found = redis.call('HGET', base .. ':index', id)
  local index = found and cjson.decode(found)
  if index and (allowed == '' or index.org == allowed) then
    gone = gone + 1
    redis.call('HDEL', base .. ':index', id)
    redis.call('HDEL', base .. ':entries', id)
    local scopes = {'all'}
    if index.org ~= '' then scopes[2] = 'org:' .. index.org end
    for _, scope in ipairs(scopes) do
      redis.call('ZREM', base .. ':' .. scope, index.cursor)
      redis.call('ZREM', base .. ':category:' .. index.counted.category .. ':' .. scope, index.cursor)
      for name, value in pairs(index.counted) do
        local counts, field = base .. ':counts:' .. scope, name .. ':' .. value
        if redis.call('HINCRBY', counts, field, -1) <= 0 then redis.call('HDEL', counts, field) end
      end
    end
  end
end

return gone
