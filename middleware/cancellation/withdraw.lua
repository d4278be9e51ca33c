-- Takes a request to cancel back. It stays, marked, until its end, so that every process hears of it.
-- KEYS: log requests ends
-- ARGV: request_id
-- Returns: 1, or 0 when no such request is in force

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ends_ms = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or 0)
local body = redis.call('HGET', KEYS[2], ARGV[1])
if not body or ends_ms <= now_ms then
  return 0
end
local request = cjson.decode(body)
if request.withdrawn then
  return 0
end
request.withdrawn = true
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(request))
redis.call('ZADD', KEYS[1], math.max(time[1] * 1000000 + time[2], tonumber(last) + 1), ARGV[1])
return 1
