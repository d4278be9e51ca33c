-- The virtual time of orgs: what each was served, by its weight. Who has the least is next.
-- Start-time fair queueing: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996); but the time at which
-- an org joins is the queue's (parts/virtual_clock.lua), as in J. Bennett, H. Zhang, "Hierarchical Packet Fair Queueing
-- Algorithms" (SIGCOMM 1996).
-- NEEDS: keys values virtual_clock age

-- What is charged for messages that are leased is an estimate until they end.
local function outstanding_ms(queue) return math.max(0, tonumber(redis.call('GET', outstanding_cost(queue)) or '0')) end

-- Returns what is outstanding now.
local function add_outstanding(queue, ms)
  local key = outstanding_cost(queue)
  local left = tonumber(redis.call('INCRBYFLOAT', key, string.format('%.4f', ms)))
  if left < 0.001 then
    redis.call('DEL', key)
    return 0
  end
  redis.call('PEXPIRE', key, DAY_MS)
  return left
end

-- Where an org starts that owes nothing: at the queue's time. That is no earlier than the first of those who wait, less
-- all that may be refunded to them, where limits let the clock fall behind; and nobody starts behind the hindmost who
-- waits, where one long job let it get ahead. Moves the clock, so that the next one starts later.
local function start_in(queue, first, had_to_wait)
  local ready, time = ready_orgs(queue), queue_time(queue)
  local start = time
  if first then
    if first > start then
      start = math.max(start, first - outstanding_ms(queue))
    end
    start = math.min(start, tonumber(redis.call('ZRANGE', ready, -1, -1, 'WITHSCORES')[2]) + STEP_MS)
  end
  set_queue_time(queue, math.max(time, start) + STEP_MS)
  -- A limit has kept it from being served all the while.
  return had_to_wait and first and math.min(start, first - STEP_MS) or start
end

-- Idleness saves up nothing, and debts stay. An org that waits for a slot or for a gate stays away until that lets it in.
-- What came to it, or would run next of it, waits since then.
local function join_ready(queue, org, since_ms, had_to_wait)
  local ready, ahead = ready_orgs(queue), served_ahead(queue)
  if redis.call('ZSCORE', ready, org) then
    set_age_back(queue, org, since_ms)
    return
  end
  if redis.call('SISMEMBER', org_waiters(org), pair(queue, '')) == 1
    or redis.call('ZSCORE', blocked_lanes(queue), pair(org, '')) then
    return
  end
  local first = tonumber(redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2])
  local start = start_in(queue, first, had_to_wait)
  local own = redis.call('ZSCORE', ahead, org)
  if own then
    redis.call('ZREM', ahead, org)
  else
    add_weight(queue, extra_weight_of(org))
  end
  redis.call('ZADD', ready, string.format('%.6f', math.max(start, tonumber(own or start))), org)
  set_age(queue, org, since_ms)
end

-- Its virtual time is kept for when it comes back.
local function leave_ready(queue, org, time)
  redis.call('ZREM', ready_orgs(queue), org)
  redis.call('ZSCORE', waiting_since(queue), org)
  redis.call('ZREM', waiting_since(queue), org)
  redis.call('ZADD', served_ahead(queue), string.format('%.6f', time), org)
  redis.call('PEXPIRE', served_ahead(queue), WEEK_MS)
end

local expiring = {}

-- What an org was charged in advance is set right by what its jobs took. One that the queue's time has caught up with goes
-- on from where it was charged: the time that the clock has moved on since is not charged to it once more.
local function correct_virtual_time(queue, org, delta, charged_at)
  local change = string.format('%.6f', delta)
  if redis.call('ZADD', ready_orgs(queue), 'XX', 'INCR', change, org) then
    return
  end
  local ahead = served_ahead(queue)
  -- What ran in isolation was charged nowhere.
  local own = redis.call('ZSCORE', ahead, org) or charged_at > 0 and charged_at or queue_time(queue)
  if redis.call('ZADD', ahead, string.format('%.6f', tonumber(own) + delta), org) == 1 then
    add_weight(queue, extra_weight_of(org))
  end
  -- Once a call is enough, however many orgs had messages that ended.
  if not expiring[queue] then
    expiring[queue] = true
    redis.call('PEXPIRE', ahead, WEEK_MS)
  end
end
