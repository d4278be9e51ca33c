-- What people are shown of workers, gates and lanes.
-- NEEDS: keys values clock gates rates

-- Asks for all orgs; no org is stored under this name.
local ANY_ORG = '|'
local MAX_LANES = 100
local MAX_ORGS = 1000
local MAX_LANES_OF_ORG = 10

local function worker_facts()
  local heartbeats = redis.call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES')
  local workers = {}
  for i = 1, #heartbeats, 2 do
    local worker_id = heartbeats[i]
    workers[#workers + 1] = {
      id = worker_id,
      beat = heartbeats[i + 1],
      about = redis.call('HGET', WORKER_INFO, worker_id) or '',
      quiet = redis.call('SISMEMBER', QUIET_WORKERS, worker_id),
      leased = redis.call('HLEN', lease_key(worker_id))
    }
  end
  return workers
end

-- Adds all that may hold a lane back, whether or not a fetch has found out.
local function add_lane_facts(known, queue, org, lane)
  local actor = actor_of(lane)
  local gates = gates_of(queue, org, actor)
  local blocks = redis.call('HMGET', GATES, unpack(gates))
  known.gates = {}
  for i, gate in ipairs(gates) do
    known.gates[gate] = blocks[i] or nil
  end
  known.share = redis.call('HGET', ORG_SHARES, org)
  known.active = redis.call('HGET', LEASED_BY_ORG, org)
  known.org_waits = redis.call('SISMEMBER', org_waiters(org), pair(queue, ''))
  local key, max = concurrency_of(lane)
  if key then
    known.key, known.key_most = key, max
    known.key_active = redis.call('HGET', LEASED_BY_KEY, pair(org, key))
    known.key_waits = redis.call('SISMEMBER', key_waiters(org, key), pair(queue, lane))
  end
  local rate = configured_rate(actor)
  known.starts_at = rate and string.format('%.0f', next_start_ms(org, actor, rate) - rate.tolerance_ms)
  local blocked_ms = redis.call('ZSCORE', blocked_lanes(queue), pair(org, lane))
  known.aside_until = blocked_ms and tonumber(blocked_ms) < NEVER_MS and string.format('%.0f', tonumber(blocked_ms) - timer_lead_ms())
end

-- When what is delayed is due, by the server's clock as it is now.
local function due_by_clock(due_ms) return string.format('%.0f', tonumber(due_ms) - timer_lead_ms()) end

-- How many of a lane stand before a score. Lanes are in the order of their scores, so it is found by halving.
local function count_before(key, lane, score)
  local low, high = 0, redis.call('LLEN', key)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('LINDEX', key, middle)
    if lane_score(lane, since_of(entry)) < score then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Messages of the org's other open lanes that go before a score, and in how many lanes; of the first 100 lanes.
local function ahead_in_others(queue, org, own, score)
  local messages, lanes = 0, 0
  local open = redis.call('ZRANGEBYSCORE', org_lanes(queue, org), '-inf', score, 'LIMIT', 0, MAX_LANES)
  for _, lane in ipairs(open) do
    local before = lane ~= own and count_before(lane_key(queue, org, lane), lane, score) or 0
    if before > 0 then
      messages, lanes = messages + before, lanes + 1
    end
  end
  return messages, lanes
end

-- Lanes that left the ready set, by org: those of gates and rates, and those of full concurrency keys. An empty name
-- stands for the whole org.
local function held_lanes(queue)
  local held = {}
  local function add(org, lane)
    held[org] = held[org] or {}
    held[org][lane] = true
  end
  for _, org_and_lane in ipairs(redis.call('ZRANGE', blocked_lanes(queue), 0, -1)) do
    add(split_pair(org_and_lane))
  end
  for _, org_and_key in ipairs(redis.call('HKEYS', LEASED_BY_KEY)) do
    local org, key = split_pair(org_and_key)
    for _, waiter in ipairs(redis.call('SMEMBERS', key_waiters(org, key))) do
      local waits_in, lane = split_pair(waiter)
      if waits_in == queue then
        add(org, lane)
      end
    end
  end
  -- An org at its limit runs something.
  for _, org in ipairs(redis.call('HKEYS', LEASED_BY_ORG)) do
    if redis.call('SISMEMBER', org_waiters(org), pair(queue, '')) == 1 then
      add(org, '')
    end
  end
  return held
end

-- An org's lanes in the order in which they would run, then those that may not; empty ones are not among them.
local function lanes_of(queue, org, held)
  local lanes = redis.call('ZRANGE', org_lanes(queue, org), 0, -1)
  local open = {}
  for _, lane in ipairs(lanes) do
    open[lane] = true
  end
  for lane in pairs(held[org] or {}) do
    if lane ~= '' and not open[lane] then
      lanes[#lanes + 1] = lane
    end
  end
  return lanes
end

-- Since when the oldest message waits that nothing holds back. By the lanes that would run next; of the first 1,000 orgs.
local function oldest_since(queue, only_org)
  local since
  local orgs = only_org == ANY_ORG and redis.call('ZRANGE', ready_orgs(queue), 0, MAX_ORGS - 1) or {only_org}
  for _, org in ipairs(orgs) do
    local lanes = redis.call('ZRANGE', org_lanes(queue, org), 0, MAX_LANES_OF_ORG - 1, 'WITHSCORES')
    for i = 1, #lanes, 2 do
      local head_since = tonumber(lanes[i + 1]) - lane_score(lanes[i], 0)
      since = math.min(since or head_since, head_since)
    end
  end
  return since and string.format('%.0f', since)
end
