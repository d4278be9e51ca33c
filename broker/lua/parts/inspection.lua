-- What people are shown of workers, gates and lanes.
-- NEEDS: keys values clock gates rates lane_order

-- Asks for all orgs; no org is stored under this name.
local ANY_ORG = '|'
local MAX_LANES = 30
local MAX_ORGS = 30
local MAX_LANES_OF_ORG = 10

-- Workers by how long they are silent, from a first to a last one.
local function worker_facts(first, last)
  local heartbeats = redis.call('ZRANGE', WORKERS, first, last, 'WITHSCORES')
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
    known.key_waits = redis.call('ZSCORE', key_waiters(org, key), pair(queue, lane)) and 1 or 0
  end
  local rate = configured_rate(actor)
  known.starts_at = rate and string.format('%.0f', next_start_ms(org, actor, rate) - rate.tolerance_ms)
  local blocked_ms = redis.call('ZSCORE', blocked_lanes(queue), pair(org, actor))
  known.aside_until = blocked_ms and tonumber(blocked_ms) < NEVER_MS and string.format('%.0f', tonumber(blocked_ms) - timer_lead_ms())
end

-- When what is delayed is due, by the server's clock as it is now.
local function due_by_clock(due_ms) return string.format('%.0f', tonumber(due_ms) - timer_lead_ms()) end

-- How many of a lane stand before a score. Lanes are in the order of their scores, so it is found by halving.
local function count_before(key, lane, score)
  local low, high = 0, redis.call('LLEN', key)
  if score == math.huge then
    return high
  end
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

-- Messages of the org's other open lanes that go before a score, and in how many lanes; of the first 30 lanes in its
-- order, and of those of its own actor.
local function ahead_in_others(queue, org, own, score)
  local messages, lanes, seen = 0, 0, {[own] = true}
  local function add(set, max)
    for _, lane in ipairs(redis.call('ZRANGEBYSCORE', set, '-inf', score, 'LIMIT', 0, max)) do
      local before = not seen[lane] and count_before(lane_key(queue, org, lane), lane, score) or 0
      seen[lane] = true
      if before > 0 then
        messages, lanes = messages + before, lanes + 1
      end
    end
  end
  add(org_lanes(queue, org), MAX_LANES)
  local actor = actor_of(own)
  add(actor_lanes(queue, org, actor), MAX_LANES)
  return messages, lanes
end

-- Since when the oldest message waits that nothing holds back. By the lanes that would run next; of the first 30 orgs.
local function oldest_since(queue, only_org)
  local since
  local orgs = only_org == ANY_ORG and redis.call('ZRANGE', ready_orgs(queue), 0, MAX_ORGS - 1) or {only_org}
  for _, org in ipairs(orgs) do
    local lanes = redis.call('ZRANGE', org_lanes(queue, org), 0, MAX_LANES_OF_ORG - 1, 'WITHSCORES')
    for i = 1, #lanes, 2 do
      if not is_held(lanes[i + 1]) then
        local head_since = tonumber(lanes[i + 1]) - lane_score(lanes[i], 0)
        since = math.min(since or head_since, head_since)
      end
    end
  end
  return since and string.format('%.0f', since)
end
