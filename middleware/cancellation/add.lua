-- Keeps a request to cancel, instead of one with the same id, and forgets some of those whose time is over.
-- KEYS: log requests ends
-- ARGV: request_id body keep_for_ms
--   body: the request as a JSON object
-- Returns: the version in which it is
-- `log` orders ids by version, `requests` holds bodies, `ends` says until when, in epoch ms. Versions are the
-- server's microseconds, or one more than the last: they grow even after everything was forgotten.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local version = math.max(time[1] * 1000000 + time[2], (tonumber(last) or 0) + 1)

local over = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now_ms, 'LIMIT', 0, 1000)
for _, id in ipairs(over) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
end

local request = cjson.decode(ARGV[2])
request.requested_at_ms = now_ms
redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(request))
redis.call('ZADD', KEYS[1], version, ARGV[1])
redis.call('ZADD', KEYS[3], now_ms + ARGV[3], ARGV[1])

local last_end = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
for _, key in ipairs(KEYS) do
  redis.call('PEXPIREAT', key, string.format('%.0f', last_end))
end
return string.format('%.0f', version)
