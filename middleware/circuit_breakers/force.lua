-- Holds a circuit open or closed until further notice, or puts it into a state from which it goes on by itself.
-- The flag is configuration: it has no time to live, and neither has the index while it holds one.
-- KEYS: breaker trials index version
-- ARGV: name to reason who forget_ms mode open_ms
--   mode: 'hold' it there, 'reset' it whatever it is, or 'move' it unless it is held
--   open_ms: how long an open circuit stays so by itself, 0 for half-open
-- Returns: {state_before, now_us, {field, value, ...}}
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
local known = redis.call('HMGET', KEYS[1], 'forced', 'until', 'failures')
local to, mode, open_ms = ARGV[2], ARGV[6], tonumber(ARGV[7])
local before = 'closed'
if known[1] then
  before = known[1]
elseif known[2] then
  before = now < tonumber(known[2]) and 'open' or 'half-open'
end
if mode == 'move' and known[1] then
  return {before, now_us, redis.call('HGETALL', KEYS[1])}
end

redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'reason', ARGV[3], 'who', ARGV[4], 'since', now)
if mode == 'hold' then
  redis.call('HSET', KEYS[1], 'forced', to)
  redis.call('ZADD', KEYS[3], '+inf', ARGV[1])
else
  if to ~= 'closed' then
    redis.call('HSET', KEYS[1], 'until', now + open_ms, 'failures', known[3] or 0)
    if to == 'half-open' then
      redis.call('HSET', KEYS[1], 'tried', '1')
    end
  end
  local expires = string.format('%.0f', now + open_ms + ARGV[5])
  redis.call('PEXPIREAT', KEYS[1], expires)
  redis.call('ZADD', KEYS[3], expires, ARGV[1])
end
local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
if last[2] == 'inf' then
  redis.call('PERSIST', KEYS[3])
else
  redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', last[2]))
end
local version = math.max(now_us, tonumber(redis.call('GET', KEYS[4]) or '0') + 1)
redis.call('SET', KEYS[4], string.format('%.0f', version), 'PX', 7 * 24 * 3600 * 1000)
return {before, now_us, redis.call('HGETALL', KEYS[1])}
