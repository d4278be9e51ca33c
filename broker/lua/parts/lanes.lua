-- Where ready messages stand: lanes (org, actor, priority) inside orgs inside a queue. Included by the operations.
-- `B` is the base key, `now` the server's time in milliseconds.

local AGEING_MS = 1000
local WAKE_TTL_MS = 10000
local DAY_MS = 24 * 60 * 60 * 1000

local function wake(queue)
  local key = B .. ':wake:' .. queue
  if redis.call('EXISTS', key) == 0 then
    redis.call('LPUSH', key, '1')
    redis.call('PEXPIRE', key, WAKE_TTL_MS)
  end
end

local function header(record)
  return string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n')
end

local function lane_key(queue, org, lane)
  return B .. ':l:' .. queue .. ':' .. org .. ':' .. lane
end

-- A lane runs by the age of its head; each step of priority is worth a second of waiting.
local function lane_score(lane, since_ms)
  return tonumber(since_ms) + AGEING_MS * tonumber(string.match(lane, ':(%-?%d+)$'))
end

-- What is charged for messages that are leased is an estimate until they end.
local function outstanding(queue)
  return math.max(0, tonumber(redis.call('GET', B .. ':qc:' .. queue) or '0'))
end

-- An org that comes back starts where the queue is now: idleness saves up nothing. That is before the hindmost of
-- those who wait, by all that may yet be given back to them; so it is next, and has no more arrears than that.
local function join_ready(queue, org)
  local ready = B .. ':qr:' .. queue
  if not redis.call('ZSCORE', ready, org) then
    local at = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2] or redis.call('GET', B .. ':qt:' .. queue)
    local own = redis.call('ZSCORE', B .. ':qv:' .. queue, org)
    local start = tonumber(at or '0') - outstanding(queue)
    redis.call('ZADD', ready, string.format('%.6f', math.max(start, tonumber(own or start))), org)
  end
end

local function to_tail(queue, org, lane, mid, since_ms)
  if redis.call('RPUSH', lane_key(queue, org, lane), string.format('%.0f|%s', since_ms, mid)) == 1 then
    redis.call('ZADD', B .. ':ql:' .. queue .. ':' .. org, lane_score(lane, since_ms), lane)
    join_ready(queue, org)
  end
end

local function to_head(queue, org, lane, mid, since_ms)
  redis.call('LPUSH', lane_key(queue, org, lane), since_ms .. '|' .. mid)
  redis.call('ZADD', B .. ':ql:' .. queue .. ':' .. org, lane_score(lane, since_ms), lane)
  join_ready(queue, org)
end

-- A message that is there already was sent by a call whose answer got lost: it is left alone.
local function put(mid, delay_ms, record)
  if redis.call('HSETNX', B .. ':m', mid, record) == 0 then
    return
  end
  local queue, org, lane = header(record)
  redis.call('HINCRBY', B .. ':n', queue, 1)
  if delay_ms > 0 then
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
