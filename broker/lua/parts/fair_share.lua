-- The virtual time of orgs: what each was served, by its weight. Who has the least is next.
-- Start-time fair queueing: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996).
-- NEEDS: keys values

-- What is charged for messages that are leased is an estimate until they end.
local function outstanding_ms(queue) return math.max(0, tonumber(redis.call('GET', outstanding_cost(queue)) or '0')) end

local function add_outstanding(queue, ms)
  redis.call('INCRBYFLOAT', outstanding_cost(queue), string.format('%.4f', ms))
  redis.call('PEXPIRE', outstanding_cost(queue), DAY_MS)
end

-- An org that comes back starts where the queue is now: idleness saves up nothing. That is before the hindmost of
-- those who wait, by all that may yet be refunded to them; so it is next, and has no more arrears than that.
-- One that waits for a slot or for a gate stays away until that lets it in.
local function join_ready(queue, org)
  local ready = ready_orgs(queue)
  if redis.call('ZSCORE', ready, org) or redis.call('SISMEMBER', org_waiters(org), pair(queue, '')) == 1
    or redis.call('ZSCORE', blocked_lanes(queue), pair(org, '')) then
    return
  end
  local at = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2] or redis.call('GET', virtual_time(queue))
  local own = redis.call('ZSCORE', served_ahead(queue), org)
  local start = tonumber(at or '0') - outstanding_ms(queue)
  redis.call('ZADD', ready, string.format('%.6f', math.max(start, tonumber(own or start))), org)
end

-- Its virtual time is kept for when it comes back.
local function leave_ready(queue, org, time)
  redis.call('ZREM', ready_orgs(queue), org)
  redis.call('ZADD', served_ahead(queue), string.format('%.6f', time), org)
  redis.call('PEXPIRE', served_ahead(queue), DAY_MS)
end

local expiring = {}

-- What an org was charged in advance is set right by what its jobs took.
local function correct_virtual_time(queue, org, delta)
  local change = string.format('%.6f', delta)
  if redis.call('ZADD', ready_orgs(queue), 'XX', 'INCR', change, org) then
    return
  end
  local ahead = served_ahead(queue)
  local own = redis.call('ZSCORE', ahead, org) or redis.call('GET', virtual_time(queue)) or '0'
  redis.call('ZADD', ahead, string.format('%.6f', tonumber(own) + delta), org)
  -- Once a call is enough, however many orgs had messages that ended.
  if not expiring[queue] then
    expiring[queue] = true
    redis.call('PEXPIRE', ahead, DAY_MS)
  end
end
