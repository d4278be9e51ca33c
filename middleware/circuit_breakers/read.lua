-- All circuits that have something to say, unless the caller knows them already.
-- KEYS: index version
-- DERIVED: <prefix><name> for every name in the index
-- ARGV: known_version prefix
-- Returns: false when the version is the known one, else {version, now_us, name, {field, value, ...}, ...}
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
local version = redis.call('GET', KEYS[2]) or '0'
if version == ARGV[1] then
  return false
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local result = {version, now_us}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local fields = redis.call('HGETALL', ARGV[2] .. name)
  if #fields > 0 then
    result[#result + 1] = name
    result[#result + 1] = fields
  end
end
return result
