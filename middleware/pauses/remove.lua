-- Takes a pause back.
-- KEYS: kept version
-- ARGV: target
-- Returns: 1, or 0 when there is none in force
-- The version goes with the last pause: a later one is of a later microsecond, so no version comes twice.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local body = redis.call('HGET', KEYS[1], ARGV[1])
if not body then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
else
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  local version = math.max(time[1] * 1000000 + time[2], last + 1)
  redis.call('SET', KEYS[2], string.format('%.0f', version), 'KEEPTTL')
end
local until_ms = cjson.decode(body).until_ms
if until_ms and until_ms <= now_ms then
  return 0
end
return 1
