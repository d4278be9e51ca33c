-- What people are shown of workers, gates and lanes. Included by the operations that only look.

-- Asks for all orgs; no org is stored under this name.
local ANY_ORG = '|'
local MOST_LANES, MOST_ORGS, MOST_LANES_OF_ORG = 100, 1000, 10

local function worker_facts()
  local all = redis.call('ZRANGE', B .. ':workers', 0, -1, 'WITHSCORES')
  local workers = {}
  for i = 1, #all, 2 do
    workers[#workers + 1] = {
      id = all[i],
      beat = all[i + 1],
      about = redis.call('HGET', B .. ':wi', all[i]) or '',
      quiet = redis.call('SISMEMBER', B .. ':quiet', all[i]),
      leased = redis.call('HLEN', B .. ':lease:' .. all[i])
    }
  end
  return workers
end

-- What shuts a lane: whatever holds it back, whether or not a fetch has found out.
local function shut_facts(known, queue, org, lane)
  local actor = string.match(lane, '^([^:]*):')
  local gates = {'q:' .. queue, 'a:' .. actor, 'o:' .. org, 'x:' .. org .. ':' .. actor}
  local shut = redis.call('HMGET', B .. ':g', unpack(gates))
  known.gates = {}
  for i, gate in ipairs(gates) do
    known.gates[gate] = shut[i] or nil
  end
  known.share = redis.call('HGET', B .. ':o', org)
  known.active = redis.call('HGET', B .. ':a', org)
  known.org_waits = redis.call('SISMEMBER', B .. ':b:' .. org, queue .. '\n')
  local key, most = string.match(lane, '^[^:]*:%-?%d+:([^:]*):(%d+)$')
  if key then
    known.key, known.key_most = key, most
    known.key_active = redis.call('HGET', B .. ':ak', org .. '\n' .. key)
    known.key_waits = redis.call('SISMEMBER', B .. ':bk:' .. org .. ':' .. key, queue .. '\n' .. lane)
  end
  known.rate = redis.call('HGET', B .. ':r', actor)
  known.arrival = known.rate and redis.call('GET', B .. ':t:' .. org .. ':' .. actor)
end

-- How many of a lane stand before a score. Lanes are in the order of their scores, so it is found by halving.
local function count_before(key, lane, score)
  local low, high = 0, redis.call('LLEN', key)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if lane_score(lane, string.match(redis.call('LINDEX', key, middle), '^(%d+)|')) < score then
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
  local open = redis.call('ZRANGEBYSCORE', B .. ':ql:' .. queue .. ':' .. org, '-inf', score, 'LIMIT', 0, MOST_LANES)
  for _, lane in ipairs(open) do
    local before = lane ~= own and count_before(lane_key(queue, org, lane), lane, score) or 0
    if before > 0 then
      messages, lanes = messages + before, lanes + 1
    end
  end
  return messages, lanes
end

-- Lanes that left the ready set, by org: those of gates and rates, and those of full concurrency keys.
local function lanes_aside(queue)
  local aside = {}
  local function add(org, lane)
    aside[org] = aside[org] or {}
    aside[org][lane] = true
  end
  for _, each in ipairs(redis.call('ZRANGE', B .. ':qs:' .. queue, 0, -1)) do
    add(string.match(each, '^([^\n]*)\n(.*)$'))
  end
  for _, field in ipairs(redis.call('HKEYS', B .. ':ak')) do
    local org, key = string.match(field, '^([^\n]*)\n(.*)$')
    for _, each in ipairs(redis.call('SMEMBERS', B .. ':bk:' .. org .. ':' .. key)) do
      local where, lane = string.match(each, '^([^\n]*)\n(.*)$')
      if where == queue then
        add(org, lane)
      end
    end
  end
  -- An org at its limit runs something.
  for _, org in ipairs(redis.call('HKEYS', B .. ':a')) do
    if redis.call('SISMEMBER', B .. ':b:' .. org, queue .. '\n') == 1 then
      add(org, '')
    end
  end
  return aside
end

-- An org's lanes in the order in which they would run, then those that may not; empty ones are not among them.
local function lanes_of(queue, org, aside)
  local lanes = redis.call('ZRANGE', B .. ':ql:' .. queue .. ':' .. org, 0, -1)
  local open = {}
  for _, lane in ipairs(lanes) do
    open[lane] = true
  end
  for lane in pairs(aside[org] or {}) do
    if lane ~= '' and not open[lane] then
      lanes[#lanes + 1] = lane
    end
  end
  return lanes
end

-- Since when the oldest message waits that nothing holds back. By the lanes that would run next; of the first 1,000 orgs.
local function oldest(queue, only)
  local since
  local orgs = only == ANY_ORG and redis.call('ZRANGE', B .. ':qr:' .. queue, 0, MOST_ORGS - 1) or {only}
  for _, org in ipairs(orgs) do
    local lanes = redis.call('ZRANGE', B .. ':ql:' .. queue .. ':' .. org, 0, MOST_LANES_OF_ORG - 1, 'WITHSCORES')
    for i = 1, #lanes, 2 do
      local head = tonumber(lanes[i + 1]) - lane_score(lanes[i], 0)
      since = math.min(since or head, head)
    end
  end
  return since and string.format('%.0f', since)
end
