-- Asks to call a half-open dependency; the same token asks again for the same trial.
-- KEYS: breaker trials
-- ARGV: token most lease_ms
-- Returns: {granted 0|1, first 0|1, now_us, {field, value, ...}}
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
local known = redis.call('HMGET', KEYS[1], 'forced', 'until', 'successes')
local granted, first = 0, 0
if known[1] then
  granted = known[1] == 'closed' and 1 or 0
elseif not known[2] then
  granted = 1
elseif now >= tonumber(known[2]) then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  local mine = redis.call('ZSCORE', KEYS[2], ARGV[1])
  local used = redis.call('ZCARD', KEYS[2]) + tonumber(known[3] or '0')
  if mine or used < tonumber(ARGV[2]) then
    granted = 1
    redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
    local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
    redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
    first = redis.call('HSETNX', KEYS[1], 'tried', '1')
  end
end
return {granted, first, now_us, redis.call('HGETALL', KEYS[1])}
