-- Asks for all that an attempt needs: to be the copy that may run, a start of its rate, and its slots.
-- A start that is not due yet is reserved. A message that finds no slot becomes a waiter, first come first served.
-- KEYS: rate slots waiters record
-- DERIVED: slots:<concurrency key> and waiters:<concurrency key>, in the hash slot of the others
-- ARGV: message_id token copy lease_ms max_active concurrency_key concurrency_limit interval_ms tolerance_ms
--       paid_until_ms keep_ms message
-- Returns: {outcome, wait_ms, paid_until_ms}; outcome is 'run', 'rate', 'slot', 'running' or 'superseded'
local id, token, copy, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local max_active, key, key_limit = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local interval, tolerance, paid_until = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local keep, message = ARGV[11], ARGV[12]
local rate, slots, waiters, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key_slots, key_waiters = slots .. ':' .. key, waiters .. ':' .. key

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = now_us / 1000

-- Whoever comes first of a message and the copy that was to wake it is the one that lives on.
local known = redis.call('HMGET', record, 'copy', 'waking', 'token')
if known[1] and copy ~= known[1] and copy ~= known[2] then
  return {'superseded', '0', '0'}
end
if known[1] then
  redis.call('HSET', record, 'copy', copy)
  redis.call('HDEL', record, 'waking')
end

redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
local until_ms = redis.call('ZSCORE', slots, id)
if until_ms and known[3] and known[3] ~= '' and known[3] ~= token then
  return {'running', string.format('%.3f', until_ms - now), '0'}
end

if interval > 0 and paid_until == 0 then
  local due = math.max(tonumber(redis.call('GET', rate) or '0'), now)
  paid_until = due + interval
  redis.call('SET', rate, string.format('%.3f', paid_until), 'PX', math.ceil(paid_until - now))
  if due - tolerance > now then
    return {'rate', string.format('%.3f', due - tolerance - now), string.format('%.3f', paid_until)}
  end
end
local paid = string.format('%.3f', paid_until)

if not until_ms then
  local queue = nil
  if key ~= '' then
    redis.call('ZREMRANGEBYSCORE', key_slots, '-inf', now)
    if redis.call('ZCARD', key_slots) >= key_limit then
      queue = key_waiters
    end
  end
  if not queue and max_active >= 0 and redis.call('ZCARD', slots) >= max_active then
    queue = waiters
  end
  if queue then
    redis.call('HSETNX', record, 'since', string.format('%.0f', now_us))
    redis.call('HSET', record, 'copy', copy, 'key', key, 'key_limit', key_limit, 'message', message,
      'asked', string.format('%.3f', now))
    redis.call('PEXPIRE', record, keep)
    redis.call('ZREM', waiters, id)
    redis.call('ZREM', key_waiters, id)
    redis.call('ZADD', queue, redis.call('HGET', record, 'since'), id)
    redis.call('PEXPIRE', queue, keep)
    return {'slot', '0', paid}
  end
end

redis.call('ZADD', slots, now + lease, id)
redis.call('PEXPIRE', slots, keep)
if key ~= '' then
  redis.call('ZADD', key_slots, now + lease, id)
  redis.call('PEXPIRE', key_slots, keep)
end
redis.call('ZREM', waiters, id)
redis.call('ZREM', key_waiters, id)
redis.call('HDEL', record, 'message', 'since', 'asked')
redis.call('HSET', record, 'token', token)
redis.call('PEXPIRE', record, keep)
return {'run', '0', paid}
