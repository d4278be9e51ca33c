-- Records how a call ended.
-- KEYS: breaker trials index version
-- ARGV: name verdict token most_failures most_trials open_ms asked_ms forget_ms reason
-- Returns: {state_before, now_us, {field, value, ...}}
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
local verdict, open_ms, asked_ms, forget_ms = ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local known = redis.call('HMGET', KEYS[1], 'forced', 'until', 'successes', 'failures')
local till = tonumber(known[2] or 'nil')
local before = 'closed'
if known[1] then
  before = known[1]
elseif till then
  before = now < till and 'open' or 'half-open'
end

local lease = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[3]) or 'nil')
redis.call('ZREM', KEYS[2], ARGV[3])
local is_trial = before == 'half-open' and lease ~= nil and lease > now

local expires = nil
local function open(until_ms, reason)
  redis.call('HSET', KEYS[1], 'until', until_ms, 'reason', reason, 'who', '')
  if before ~= 'open' then
    redis.call('HSET', KEYS[1], 'since', now)
  end
  redis.call('HDEL', KEYS[1], 'successes', 'tried')
  redis.call('DEL', KEYS[2])
  expires = until_ms + forget_ms
end

if known[1] then
  verdict = 'forced'
elseif asked_ms > 0 then
  if verdict == 'failure' then
    redis.call('HINCRBY', KEYS[1], 'failures', 1)
  end
  open(math.max(now + asked_ms, till or 0), 'it asked to be left alone: ' .. ARGV[9])
elseif is_trial and verdict == 'failure' then
  redis.call('HINCRBY', KEYS[1], 'failures', 1)
  open(now + open_ms, 'a trial failed: ' .. ARGV[9])
elseif is_trial and verdict == 'success' then
  redis.call('HDEL', KEYS[1], 'failures')
  if redis.call('HINCRBY', KEYS[1], 'successes', 1) >= tonumber(ARGV[5]) then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'reason', 'all trials succeeded', 'since', now)
  end
  expires = now + forget_ms
elseif before == 'closed' and verdict == 'failure' then
  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
  if failures >= tonumber(ARGV[4]) then
    open(now + open_ms, failures .. ' failures, the last: ' .. ARGV[9])
  else
    expires = now + forget_ms
  end
elseif before == 'closed' and verdict == 'success' and known[4] then
  redis.call('HDEL', KEYS[1], 'failures')
  expires = now + forget_ms
end

if expires then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires))
  redis.call('ZADD', KEYS[3], string.format('%.0f', expires), ARGV[1])
  local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
  if last[2] == 'inf' then
    redis.call('PERSIST', KEYS[3])
  else
    redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', last[2]))
  end
  local version = math.max(now_us, tonumber(redis.call('GET', KEYS[4]) or '0') + 1)
  redis.call('SET', KEYS[4], string.format('%.0f', version), 'PX', 7 * 24 * 3600 * 1000)
end
return {before, now_us, redis.call('HGETALL', KEYS[1])}
