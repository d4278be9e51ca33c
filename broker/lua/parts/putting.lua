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

local function uniq_of(record)
  return string.match(record, '^[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)\n')
end

-- Whether this very copy of a message has come in already, and has not ended.
local function is_here(message_id, uniq)
  local record = redis.call('HGET', B .. ':m', message_id)
  return record and (uniq_of(record) == uniq or redis.call('HEXISTS', B .. ':m', message_id .. '~' .. uniq) == 1)
end

-- A message goes by its own id. A second copy, put while the first is here, goes by a name of its own; the same copy
-- put twice, by a call whose answer got lost, is left alone.
local function name_of(message_id, uniq, record)
  local all = B .. ':m'
  if redis.call('HSETNX', all, message_id, record) == 1 then
    return message_id
  end
  if uniq_of(redis.call('HGET', all, message_id)) == uniq then
    return nil
  end
  local copy = message_id .. '~' .. uniq
  return redis.call('HSETNX', all, copy, record) == 1 and copy or nil
end

-- Counted when all are in: many go to one queue, and many are of one org.
local in_queues, in_orgs = {}, {}

local function count_in()
  for queue, number in pairs(in_queues) do
    redis.call('HINCRBY', B .. ':n', queue, number)
  end
  for org, number in pairs(in_orgs) do
    redis.call('HINCRBY', B .. ':no', org, number)
  end
end

-- So many deaths in company, and a message is run alone; so many alone, and it is not run any more.
local SUSPECT, CONDEMNED = 2, 2

local function is_suspect(deaths, lonely)
  return tonumber(deaths) >= SUSPECT and tonumber(lonely) < CONDEMNED
end

-- To the end of its lane, or, with what is known of its deaths, to those that run alone.
local function place(queue, org, lane, mid, since_ms, deaths)
  if deaths and is_suspect(string.match(deaths, '^(%d+)|(%d+)|')) then
    redis.call('ZADD', B .. ':qx:' .. queue, string.format('%.0f', since_ms), mid)
  else
    to_tail(queue, org, lane, mid, since_ms)
  end
end

-- `count_in` has to follow when all are put. Deaths are those of a message that was parked: it has not shown that it
-- can end.
local function put(message_id, uniq, delay_ms, record, parked, deaths)
  local mid = name_of(message_id, uniq, record)
  if not mid then
    return
  end
  local queue, org, lane = header(record)
  in_queues[queue] = (in_queues[queue] or 0) + 1
  in_orgs[org] = (in_orgs[org] or 0) + 1
  if deaths then
    redis.call('HSET', B .. ':d', mid, deaths)
    redis.call('PEXPIRE', B .. ':d', 7 * DAY_MS)
  end
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
    place(queue, org, lane, mid, now, deaths)
    wake(queue)
  end
end
