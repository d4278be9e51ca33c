-- What was sent and claimed since the last look, for one process at a time.
-- KEYS: look seen state
-- ARGV: who schedule lease_ms state_ms
-- Returns: false when another process looks, else {since_minute, minute, minute, ...}
local looker = redis.call('GET', KEYS[1])
if looker and looker ~= ARGV[1] then
  return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
local known = redis.call('HMGET', KEYS[3], 'accounted', 'schedule')
local since = tonumber(known[1] or 'nil')
if since == nil or known[2] ~= ARGV[2] then
  since = math.floor(redis.call('TIME')[1] / 60)
  redis.call('HSET', KEYS[3], 'accounted', since, 'schedule', ARGV[2])
end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
local result = {since}
for _, minute in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf')) do
  result[#result + 1] = tonumber(minute)
end
return result
