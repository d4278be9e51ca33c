-- Where ready messages stand: lanes (org, actor, priority, concurrency key) inside orgs inside a queue. Included by the
-- operations. `B` is the base key, `now` the server's time in milliseconds.

local AGEING_MS = 1000
local WAKE_TTL_MS = 10000
local DAY_MS = 24 * 60 * 60 * 1000

local woken = {}

local function wake(queue)
  -- Whoever it is for has its token since the first time.
  if woken[queue] then
    return
  end
  woken[queue] = true
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

local function actor_of(lane)
  return string.match(lane, '^([^:]*):')
end

-- The concurrency key of a lane and how many of it may run; nil for lanes without one.
local function key_of(lane)
  return string.match(lane, '^[^:]*:%-?%d+:([^:]*):(%d+)$')
end

-- A lane runs by the age of its head; each step of priority is worth a second of waiting.
local function lane_score(lane, since_ms)
  return tonumber(since_ms) + AGEING_MS * tonumber(string.match(lane, '^[^:]*:(%-?%d+)'))
end

-- What is charged for messages that are leased is an estimate until they end.
local function outstanding(queue)
  return math.max(0, tonumber(redis.call('GET', B .. ':qc:' .. queue) or '0'))
end

-- An org that comes back starts where the queue is now: idleness saves up nothing. That is before the hindmost of
-- those who wait, by all that may yet be given back to them; so it is next, and has no more arrears than that.
-- One that waits for a slot or for a gate stays away until that lets it in.
local function join_ready(queue, org)
  local ready = B .. ':qr:' .. queue
  if redis.call('ZSCORE', ready, org) or redis.call('SISMEMBER', B .. ':b:' .. org, queue .. '\n') == 1
    or redis.call('ZSCORE', B .. ':qs:' .. queue, org .. '\n') then
    return
  end
  local at = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2] or redis.call('GET', B .. ':qt:' .. queue)
  local own = redis.call('ZSCORE', B .. ':qv:' .. queue, org)
  local start = tonumber(at or '0') - outstanding(queue)
  redis.call('ZADD', ready, string.format('%.6f', math.max(start, tonumber(own or start))), org)
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

-- A lane, or for an empty name an org, that had left the ready set may run again.
local function readmit(queue, org, lane)
  if lane ~= '' then
    local head = redis.call('LINDEX', lane_key(queue, org, lane), 0)
    if head then
      redis.call('ZADD', B .. ':ql:' .. queue .. ':' .. org, lane_score(lane, string.match(head, '^(%d+)|')), lane)
    end
  end
  if redis.call('EXISTS', B .. ':ql:' .. queue .. ':' .. org) == 1 then
    join_ready(queue, org)
    wake(queue)
  end
end

-- All who waited for a slot that is free now: of an org, or of one of its concurrency keys.
local function readmit_all(waiting, org)
  local all = redis.call('SMEMBERS', waiting)
  if #all > 0 then
    redis.call('DEL', waiting)
    for _, each in ipairs(all) do
      local queue, lane = string.match(each, '^([^\n]*)\n(.*)$')
      readmit(queue, org, lane)
    end
  end
end

local function count(hash, field, change)
  if redis.call('HINCRBY', hash, field, change) <= 0 then
    redis.call('HDEL', hash, field)
  end
end

-- Leases of an org ended; of those with a concurrency key, the key's too.
local function free(org, leases, keys)
  count(B .. ':a', org, -leases)
  for key, number in pairs(keys) do
    count(B .. ':ak', org .. '\n' .. key, -number)
    readmit_all(B .. ':bk:' .. org .. ':' .. key, org)
  end
  readmit_all(B .. ':b:' .. org, org)
end
