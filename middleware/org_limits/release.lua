-- Frees an attempt's slots, gives its start back to the rate if asked to, and hands free slots to waiters.
-- A waiter's slot is its own for one lease; the caller enqueues the copies that wake them.
-- KEYS: rate slots waiters record
-- DERIVED: slots:<concurrency key> and waiters:<concurrency key>; the waiters' records, beside the given one
-- ARGV: message_id token lease_ms max_active concurrency_key concurrency_limit refund_ms paid_until_ms keep_ms
--       patience_ms
-- Returns: {copy, message, copy, message, ...}, one pair for each waiter that got a slot
local id, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local max_active, key, key_limit = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local refund, paid_until, keep, patience = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local rate, slots, waiters, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local records = string.sub(record, 1, #record - #id)

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

-- What has flowed off since the start was charged cannot be given back.
refund = math.min(refund, paid_until - now)
local due = refund > 0 and tonumber(redis.call('GET', rate) or '0') or 0
if due > now then
  redis.call('SET', rate, string.format('%.3f', due - refund), 'PX', math.max(1, math.ceil(due - refund - now)))
end

if redis.call('HGET', record, 'token') == token then
  redis.call('ZREM', slots, id)
  redis.call('ZREM', slots .. ':' .. key, id)
  redis.call('HDEL', record, 'token')
  -- A message that never waited has no other copy to be told from.
  if not redis.call('HGET', record, 'copy') then
    redis.call('DEL', record)
  end
end

local function is_free(zset, limit)
  redis.call('ZREMRANGEBYSCORE', zset, '-inf', now)
  return limit < 0 or redis.call('ZCARD', zset) < limit
end

local woken = {}

local function hand_over(queue)
  while is_free(slots, max_active) do
    local waiter = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    if #waiter == 0 then
      return
    end
    local its = records .. waiter[1]
    local found = redis.call('HMGET', its, 'message', 'key', 'key_limit', 'asked')
    local message, its_key, its_limit, asked = found[1], found[2], tonumber(found[3]), tonumber(found[4])
    if not message or asked + patience < now then
      -- Its message has not asked for so long that it may be gone; if it comes, it waits again.
      redis.call('ZREM', queue, waiter[1])
    elseif its_key ~= '' and not is_free(slots .. ':' .. its_key, its_limit) then
      local right = waiters .. ':' .. its_key
      if right == queue then
        return
      end
      redis.call('ZREM', queue, waiter[1])
      redis.call('ZADD', right, waiter[2], waiter[1])
      redis.call('PEXPIRE', right, keep)
    else
      redis.call('ZREM', queue, waiter[1])
      redis.call('ZADD', slots, now + lease, waiter[1])
      redis.call('PEXPIRE', slots, keep)
      if its_key ~= '' then
        redis.call('ZADD', slots .. ':' .. its_key, now + lease, waiter[1])
        redis.call('PEXPIRE', slots .. ':' .. its_key, keep)
      end
      local copy = token .. '-' .. #woken / 2
      redis.call('HSET', its, 'token', '', 'waking', copy)
      woken[#woken + 1] = copy
      woken[#woken + 1] = message
    end
  end
end

if key ~= '' then
  hand_over(waiters .. ':' .. key)
end
hand_over(waiters)
return woken
