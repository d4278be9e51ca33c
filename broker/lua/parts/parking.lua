-- Why a delayed message is parked, and what may release it.
-- NEEDS: keys values counters

-- The word that a key or cause begins with, for counting.
local function parked_kind(cause, key) return string.match(key ~= '' and key or cause, '^([^:]*)') end

local function park(queue, message_id, delay_ms, parked)
  local cause, key = split_pair(parked)
  local kind = parked_kind(cause, key)
  redis.call('HSET', PARKED_CAUSES, message_id, parked)
  redis.call('HINCRBY', PARKED_COUNTS, pair(queue, kind), 1)
  if key ~= '' then
    local index = parked_under(key)
    redis.call('SADD', index, message_id)
    if redis.call('PTTL', index) < delay_ms + DAY_MS then
      redis.call('PEXPIRE', index, string.format('%.0f', delay_ms + DAY_MS))
    end
  end
end

local function unpark(queue, message_id)
  local parked = redis.call('HGET', PARKED_CAUSES, message_id)
  if parked then
    local cause, key = split_pair(parked)
    local kind = parked_kind(cause, key)
    redis.call('HDEL', PARKED_CAUSES, message_id)
    count_down(PARKED_COUNTS, pair(queue, kind), 1)
    if key ~= '' then
      redis.call('SREM', parked_under(key), message_id)
    end
  end
end
