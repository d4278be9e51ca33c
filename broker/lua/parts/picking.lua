-- Who is next: the org with the lowest virtual time, and of its lanes the one whose head is oldest. Who may not run
-- leaves the ready set, until a slot, a gate or a time lets it in. Included by fetch.
-- Start-time fair queueing: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996). Rates: the generic
-- cell rate algorithm, ITU-T I.371, annex A.

local FIRST_GUESS_MS = 10
local LEAST_MS = 0.05
-- So many times a fetch looks for others, when those it found may not run.
local ROUNDS = 4

local function leave_ready(queue, org, time)
  redis.call('ZREM', B .. ':qr:' .. queue, org)
  redis.call('ZADD', B .. ':qv:' .. queue, string.format('%.6f', time), org)
  redis.call('PEXPIRE', B .. ':qv:' .. queue, DAY_MS)
end

local function store_lane(queue, org)
  local lane = org.lane
  if not lane or lane.taken == 0 then
    return
  end
  redis.call('LPOP', lane.key, lane.taken)
  if lane.slots then
    redis.call('HINCRBY', B .. ':ak', org.name .. '\n' .. lane.slots.key, lane.taken)
  end
  local rate = lane.rate
  if rate then
    redis.call('SET', rate.key, string.format('%.3f', rate.due), 'PX', math.max(1, math.ceil(rate.due - now)))
  end
  local head = redis.call('LINDEX', lane.key, 0)
  if head then
    redis.call('ZADD', org.lanes, lane_score(lane.name, string.match(head, '^(%d+)|')), lane.name)
  else
    redis.call('ZREM', org.lanes, lane.name)
  end
end

-- The lane's rate, when it may start something now; else false, and when it may.
local function rate_of(org, actor, rules)
  local known = rules.rates[actor]
  if known == nil then
    local interval_ms, tolerance_ms = string.match(redis.call('HGET', B .. ':r', actor) or '', '^(.*)|(.*)$')
    known = interval_ms and {interval_ms = tonumber(interval_ms), tolerance_ms = tonumber(tolerance_ms)} or false
    rules.rates[actor] = known
  end
  if not known then
    return nil
  end
  local key = B .. ':t:' .. org.name .. ':' .. actor
  local due = math.max(tonumber(redis.call('GET', key) or '0'), now)
  if due - known.tolerance_ms > now then
    return false, due - known.tolerance_ms
  end
  return {key = key, due = due, interval_ms = known.interval_ms, tolerance_ms = known.tolerance_ms}
end

-- The lane, when something of it may run now; else it has left the org's lanes.
local function admit_lane(queue, org, name, rules)
  local actor = actor_of(name)
  local lane = {name = name, key = lane_key(queue, org.name, name), taken = 0, actor = actor}
  local until_ms = rules.gated and shut_until({'a:' .. actor, 'x:' .. org.name .. ':' .. actor})
  if not until_ms and rules.rated and org.name ~= '' then
    local rate, allowed_ms = rate_of(org, actor, rules)
    lane.rate, until_ms = rate, allowed_ms
  end
  local key, most = key_of(name)
  if not until_ms and key and org.name ~= '' then
    local leased = tonumber(redis.call('HGET', B .. ':ak', org.name .. '\n' .. key) or '0')
    if leased >= tonumber(most) then
      redis.call('ZREM', org.lanes, name)
      redis.call('SADD', B .. ':bk:' .. org.name .. ':' .. key, queue .. '\n' .. name)
      return nil
    end
    lane.slots = {key = key, free = tonumber(most) - leased}
  end
  if until_ms then
    redis.call('ZREM', org.lanes, name)
    put_aside(queue, org.name, name, until_ms)
    return nil
  end
  return lane
end

-- Returns whether the org has a lane with something in it that may run.
local function open_lane(queue, org, chunk, rules)
  store_lane(queue, org)
  org.lane = nil
  while true do
    local lowest = redis.call('ZRANGE', org.lanes, 0, 1, 'WITHSCORES')
    if not lowest[1] then
      return false
    end
    local lane = admit_lane(queue, org, lowest[1], rules)
    if lane then
      lane.entries = redis.call('LRANGE', lane.key, 0, chunk)
      org.lane = lane
      org.other = tonumber(lowest[4] or 'inf') or math.huge
      return true
    end
  end
end

local function cost_of(org, costs)
  local actor = org.lane.actor
  costs[actor] = costs[actor] or tonumber(redis.call('HGET', B .. ':avg', actor) or FIRST_GUESS_MS)
  return math.max(costs[actor], LEAST_MS) / org.weight
end

-- Moves the first org to where its virtual time belongs.
local function sift(orgs)
  local org, i = orgs[1], 1
  while orgs[i + 1] and orgs[i + 1].time < org.time do
    orgs[i] = orgs[i + 1]
    i = i + 1
  end
  orgs[i] = org
end

local function ready_orgs(queue, room, rules)
  local lowest = redis.call('ZRANGE', B .. ':qr:' .. queue, 0, room - 1, 'WITHSCORES')
  local orgs = {}
  for i = 1, #lowest, 2 do
    local name, time = lowest[i], tonumber(lowest[i + 1])
    local share = rules.shares and share_of(name) or {weight = 1}
    -- Messages of nobody have no limits: they would hold each other up.
    local most = name ~= '' and (share.most or rules.max_active)
    local left = most and most - tonumber(redis.call('HGET', B .. ':a', name) or '0') or math.huge
    local until_ms = rules.gated and shut_until({'o:' .. name})
    if until_ms then
      leave_ready(queue, name, time)
      put_aside(queue, name, '', until_ms)
    elseif left <= 0 then
      leave_ready(queue, name, time)
      redis.call('SADD', B .. ':b:' .. name, queue .. '\n')
    else
      orgs[#orgs + 1] = {name = name, time = time, weight = share.weight, left = left, taken = 0,
        lanes = B .. ':ql:' .. queue .. ':' .. name}
    end
  end
  return orgs, #lowest > 0
end

-- Whether the lane has to be closed before the next of its messages.
local function is_spent(org)
  local lane = org.lane
  local following = lane.entries[lane.taken + 1]
  return not following
    or (lane.slots and lane.slots.free == 0)
    or (lane.rate and lane.rate.due - lane.rate.tolerance_ms > now)
    or lane_score(lane.name, string.match(following, '^(%d+)|')) > org.other
end

local function take_one(org, costs)
  local lane = org.lane
  local cost = cost_of(org, costs)
  lane.taken, org.taken, org.left = lane.taken + 1, org.taken + 1, org.left - 1
  org.time = org.time + cost
  if lane.slots then
    lane.slots.free = lane.slots.free - 1
  end
  if lane.rate then
    lane.rate.due = lane.rate.due + lane.rate.interval_ms
  end
  local since_ms, mid = string.match(lane.entries[lane.taken], '^(%d+)|(.*)$')
  return {mid = mid, since_ms = since_ms, cost = cost, interval_ms = lane.rate and lane.rate.interval_ms or 0}
end

local function take(queue, orgs, room, rules, taken)
  local chunk, costs, touched, at = math.ceil((room - #taken) / #orgs), {}, {}, nil
  while #taken < room and orgs[1] do
    local org = orgs[1]
    if not org.touched then
      org.touched = true
      touched[#touched + 1] = org
    end
    if org.left <= 0 or ((not org.lane or is_spent(org)) and not open_lane(queue, org, chunk, rules)) then
      table.remove(orgs, 1)
    else
      at = org.time
      taken[#taken + 1] = take_one(org, costs)
      sift(orgs)
    end
  end
  return touched, at
end

local function store(queue, touched, at)
  for _, org in ipairs(touched) do
    store_lane(queue, org)
    if org.taken > 0 then
      redis.call('HINCRBY', B .. ':a', org.name, org.taken)
    end
    if redis.call('EXISTS', org.lanes) == 0 then
      leave_ready(queue, org.name, org.time)
    elseif org.left <= 0 then
      leave_ready(queue, org.name, org.time)
      redis.call('SADD', B .. ':b:' .. org.name, queue .. '\n')
    else
      redis.call('ZADD', B .. ':qr:' .. queue, string.format('%.6f', org.time), org.name)
    end
  end
  if at then
    redis.call('SET', B .. ':qt:' .. queue, string.format('%.6f', at), 'PX', DAY_MS)
    -- What lies before the place where an org that comes back starts would not be asked for again.
    local start = at - outstanding(queue)
    redis.call('ZREMRANGEBYSCORE', B .. ':qv:' .. queue, '-inf', string.format('(%.6f', start))
  end
end

-- Leases messages that were taken from where they stood, and adds them to the reply.
local function lease(queue, wid, taken, flags, reply)
  local number = redis.call('INCRBY', B .. ':seq', #taken) - #taken
  redis.call('PEXPIRE', B .. ':seq', KEEP_MS)
  local mids, leases, charged = {}, {}, 0
  for i, each in ipairs(taken) do
    mids[i] = each.mid
  end
  local records = redis.call('HMGET', B .. ':m', unpack(mids))
  local deaths = redis.call('EXISTS', B .. ':d') == 1 and redis.call('HMGET', B .. ':d', unpack(mids)) or {}
  for i, each in ipairs(taken) do
    if records[i] then
      local lonely = deaths[i] and tonumber(string.match(deaths[i], '^%d+|(%d+)|')) or 0
      local token = string.format('%.0f|%s|%.4f|%s|%.0f|%s', number + i, each.since_ms, each.cost,
        each.interval_ms, now, lonely >= CONDEMNED and 'p' or flags)
      charged = charged + each.cost
      leases[#leases + 1] = each.mid
      leases[#leases + 1] = token
      local n = #reply
      reply[n + 1], reply[n + 2], reply[n + 3] = each.mid, token, records[i]
    end
  end
  if #leases > 0 then
    redis.call('HSET', B .. ':lease:' .. wid, unpack(leases))
    add_outstanding(queue, charged)
  end
end

local function pick(queue, wid, room, max_active, reply)
  local rules = {max_active = max_active, rates = {}, shares = redis.call('EXISTS', B .. ':o') == 1,
    rated = redis.call('EXISTS', B .. ':r') == 1, gated = redis.call('EXISTS', B .. ':g') == 1}
  local taken = {}
  for _ = 1, ROUNDS do
    local orgs, any = ready_orgs(queue, room - #taken, rules)
    if not any then
      break
    end
    local touched, at = take(queue, orgs, room, rules, taken)
    if #touched > 0 then
      store(queue, touched, at)
    end
    if #taken >= room then
      break
    end
  end
  if #taken > 0 then
    lease(queue, wid, taken, '', reply)
  end
end
