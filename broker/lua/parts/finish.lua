-- What becomes of leased messages: done, dead, or back to the head of their lanes. Included by the operations.
-- A record: mid token outcome duration_ms queue org lane n, then n times: mid delay_ms record.

local KEEP_MS = 7 * 24 * 60 * 60 * 1000
local SMOOTHING = 0.1

local function forget(queue, count)
  if redis.call('HINCRBY', B .. ':n', queue, -count) <= 0 then
    redis.call('HDEL', B .. ':n', queue)
  end
end

-- What an org was charged in advance is set right by what its jobs took.
local function correct(queue, org, delta)
  local change = string.format('%.6f', delta)
  if redis.call('ZADD', B .. ':qr:' .. queue, 'XX', 'INCR', change, org) then
    return
  end
  local left = B .. ':qv:' .. queue
  local own = redis.call('ZSCORE', left, org) or redis.call('GET', B .. ':qt:' .. queue) or '0'
  redis.call('ZADD', left, string.format('%.6f', tonumber(own) + delta), org)
  redis.call('PEXPIRE', left, DAY_MS)
end

local function add_outstanding(queue, ms)
  redis.call('INCRBYFLOAT', B .. ':qc:' .. queue, string.format('%.4f', ms))
  redis.call('PEXPIRE', B .. ':qc:' .. queue, DAY_MS)
end

local function learn(durations)
  for actor, seen in pairs(durations) do
    local known = tonumber(redis.call('HGET', B .. ':avg', actor) or 'nil')
    local mean = seen.sum / seen.count
    local weight = 1 - (1 - SMOOTHING) ^ seen.count
    known = known and known + (mean - known) * weight or mean
    redis.call('HSET', B .. ':avg', actor, string.format('%.4f', known))
  end
  if next(durations) then
    redis.call('PEXPIRE', B .. ':avg', KEEP_MS)
  end
end

local function bury(queue, mid, dead_ttl_ms)
  local record = redis.call('HGET', B .. ':m', mid)
  if not record then
    return
  end
  local index, kept = B .. ':xq:' .. queue, B .. ':xm:' .. queue
  local old = redis.call('ZRANGEBYSCORE', index, '-inf', now - dead_ttl_ms, 'LIMIT', 0, 100)
  if #old > 0 then
    redis.call('ZREM', index, unpack(old))
    redis.call('HDEL', kept, unpack(old))
  end
  redis.call('ZADD', index, now, mid)
  redis.call('HSET', kept, mid, record)
  redis.call('PEXPIRE', index, dead_ttl_ms)
  redis.call('PEXPIRE', kept, dead_ttl_ms)
end

-- Returns how many were refused, because their lease is not the sender's any more.
local function finish(wid, dead_ttl_ms, at, count)
  if count == 0 then
    return 0
  end
  local lease = B .. ':lease:' .. wid
  local gone, freed, counts, deltas, charges, durations, stale = {}, {}, {}, {}, {}, {}, 0
  local weights = redis.call('EXISTS', B .. ':w') == 1
  for _ = 1, count do
    local mid, token, outcome = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local took, queue, org, lane = tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
    local carried = tonumber(ARGV[at + 7])
    at = at + 8
    if freed[mid] or redis.call('HGET', lease, mid) ~= token then
      stale = stale + 1
      at = at + 3 * carried
    else
      local since_ms, charged = string.match(token, '|(%d+)|(.*)$')
      freed[mid] = true
      freed[#freed + 1] = mid
      for _ = 1, carried do
        put(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2])
        at = at + 3
      end
      if outcome == 'back' then
        if redis.call('HEXISTS', B .. ':m', mid) == 1 then
          to_head(queue, org, lane, mid, since_ms)
          wake(queue)
        end
      else
        if outcome == 'dead' then
          bury(queue, mid, dead_ttl_ms)
        end
        gone[#gone + 1] = mid
        counts[queue] = (counts[queue] or 0) + 1
        local actor = string.match(lane, '^(.*):%-?%d+$')
        local seen = durations[actor] or {sum = 0, count = 0}
        seen.sum, seen.count = seen.sum + took, seen.count + 1
        durations[actor] = seen
      end
      local weight = weights and tonumber(redis.call('HGET', B .. ':w', org) or '1') or 1
      charges[queue] = (charges[queue] or 0) + charged
      local where = queue .. '\n' .. org
      deltas[where] = (deltas[where] or 0) + (outcome == 'back' and 0 or took / weight) - charged
    end
  end
  if #freed > 0 then
    redis.call('HDEL', lease, unpack(freed))
  end
  if #gone > 0 then
    redis.call('HDEL', B .. ':m', unpack(gone))
  end
  for queue, number in pairs(counts) do
    forget(queue, number)
  end
  for where, delta in pairs(deltas) do
    local queue, org = string.match(where, '^([^\n]*)\n(.*)$')
    correct(queue, org, delta)
  end
  for queue, ms in pairs(charges) do
    add_outstanding(queue, -ms)
  end
  learn(durations)
  return stale
end
