-- Raises the number of the key schema; it never falls.
-- KEYS: base
-- DERIVED: base:schema
-- ARGV: number release
-- Returns: 1, or 0 where it is as high already
-- NEEDS: keys
local number, release = tonumber(ARGV[1]), ARGV[2]
local found = string.match(redis.call('GET', SCHEMA) or '', '^%d+')
if found and tonumber(found) >= number then
  return 0
end
redis.call('SET', SCHEMA, string.format('%d %s', number, release))
return 1
