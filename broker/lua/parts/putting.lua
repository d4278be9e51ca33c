-- How messages come in: ready, delayed, or parked with a cause. Included by the operations.

-- The word a key or cause begins with, for counting.
local function kind_of(cause, key)
  return string.match(key ~= '' and key or cause, '^([^:]*)')
end

local function park(queue, mid, delay_ms, text)
  local cause, key = string.match(text, '^([^\n]*)\n(.*)$')
  redis.call('HSET', B .. ':p', mid, text)
  redis.call('HINCRBY', B .. ':pn', queue .. '\n' .. kind_of(cause, key), 1)
  if key ~= '' then
    local index = B .. ':pk:' .. key
    redis.call('SADD', index, mid)
    if redis.call('PTTL', index) < delay_ms + DAY_MS then
      redis.call('PEXPIRE', index, string.format('%.0f', delay_ms + DAY_MS))
    end
  end
end

local function unpark(queue, mid)
  local text = redis.call('HGET', B .. ':p', mid)
  if text then
    local cause, key = string.match(text, '^([^\n]*)\n(.*)$')
    redis.call('HDEL', B .. ':p', mid)
    count(B .. ':pn', queue .. '\n' .. kind_of(cause, key), -1)
    if key ~= '' then
      redis.call('SREM', B .. ':pk:' .. key, mid)
    end
  end
end

-- A message goes by its own id. A second copy, put while the first is here, goes by a name of its own; the same copy
-- put twice, by a call whose answer got lost, is left alone.
local function name_of(message_id, uniq, record)
  local all = B .. ':m'
  if redis.call('HSETNX', all, message_id, record) == 1 then
    return message_id
  end
  if string.match(redis.call('HGET', all, message_id), '^[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)\n') == uniq then
    return nil
  end
  local copy = message_id .. '~' .. uniq
  return redis.call('HSETNX', all, copy, record) == 1 and copy or nil
end

local function put(message_id, uniq, delay_ms, record, parked)
  local mid = name_of(message_id, uniq, record)
  if not mid then
    return
  end
  local queue, org, lane = header(record)
  redis.call('HINCRBY', B .. ':n', queue, 1)
  redis.call('HINCRBY', B .. ':no', org, 1)
  if delay_ms > 0 then
    if parked ~= '' then
      park(queue, mid, delay_ms, parked)
    end
    local delayed = B .. ':qd:' .. queue
    redis.call('ZADD', delayed, string.format('%.0f', now + delay_ms), mid)
    if redis.call('ZRANGE', delayed, 0, 0)[1] == mid then
      wake(queue)
    end
  else
    to_tail(queue, org, lane, mid, now)
    wake(queue)
  end
end
