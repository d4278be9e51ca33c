-- Who is next: the org with the lowest virtual time, and of its lanes the one whose head is oldest. Included by fetch.
-- Start-time fair queueing: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996).

local FIRST_GUESS_MS = 10
local LEAST_MS = 0.05

local function store_lane(org)
  local lane = org.lane
  if not lane or lane.taken == 0 then
    return
  end
  redis.call('LPOP', lane.key, lane.taken)
  local head = redis.call('LINDEX', lane.key, 0)
  if head then
    redis.call('ZADD', org.lanes, lane_score(lane.name, string.match(head, '^(%d+)|')), lane.name)
  else
    redis.call('ZREM', org.lanes, lane.name)
  end
end

-- Returns whether the org has a lane with something in it.
local function open_lane(queue, org, chunk)
  store_lane(org)
  local lowest = redis.call('ZRANGE', org.lanes, 0, 1, 'WITHSCORES')
  if not lowest[1] then
    org.lane = nil
    return false
  end
  local name = lowest[1]
  local key = lane_key(queue, org.name, name)
  org.lane = {name = name, key = key, taken = 0, entries = redis.call('LRANGE', key, 0, chunk)}
  org.other = tonumber(lowest[4] or 'inf') or math.huge
  return true
end

local function cost_of(org, costs)
  local actor = string.match(org.lane.name, '^(.*):%-?%d+$')
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

local function ready_orgs(queue, room)
  local lowest = redis.call('ZRANGE', B .. ':qr:' .. queue, 0, room - 1, 'WITHSCORES')
  local weighted = redis.call('EXISTS', B .. ':w') == 1
  local orgs = {}
  for i = 1, #lowest, 2 do
    local weight = weighted and tonumber(redis.call('HGET', B .. ':w', lowest[i]) or '1') or 1
    orgs[#orgs + 1] = {name = lowest[i], time = tonumber(lowest[i + 1]), weight = weight,
      lanes = B .. ':ql:' .. queue .. ':' .. lowest[i]}
  end
  return orgs
end

local function take(queue, orgs, room)
  local chunk, costs, taken, touched, at = math.ceil(room / #orgs), {}, {}, {}, nil
  while #taken < room and orgs[1] do
    local org = orgs[1]
    if not org.lane then
      touched[#touched + 1] = org
    end
    if (not org.lane or not org.lane.entries[org.lane.taken + 1]) and not open_lane(queue, org, chunk) then
      table.remove(orgs, 1)
    else
      local lane = org.lane
      local cost = cost_of(org, costs)
      lane.taken = lane.taken + 1
      at = org.time
      local since_ms, mid = string.match(lane.entries[lane.taken], '^(%d+)|(.*)$')
      taken[#taken + 1] = {mid = mid, since_ms = since_ms, cost = cost}
      org.time = org.time + cost
      local following = lane.entries[lane.taken + 1]
      if following and lane_score(lane.name, string.match(following, '^(%d+)|')) > org.other then
        open_lane(queue, org, chunk)
      end
      sift(orgs)
    end
  end
  return taken, touched, at
end

local function store(queue, touched, at)
  for _, org in ipairs(touched) do
    store_lane(org)
    if redis.call('EXISTS', org.lanes) == 1 then
      redis.call('ZADD', B .. ':qr:' .. queue, string.format('%.6f', org.time), org.name)
    else
      redis.call('ZREM', B .. ':qr:' .. queue, org.name)
      redis.call('ZADD', B .. ':qv:' .. queue, string.format('%.6f', org.time), org.name)
    end
  end
  redis.call('SET', B .. ':qt:' .. queue, string.format('%.6f', at), 'PX', DAY_MS)
  -- What lies before the place where an org that comes back starts would not be asked for again.
  local start = at - outstanding(queue)
  redis.call('ZREMRANGEBYSCORE', B .. ':qv:' .. queue, '-inf', string.format('(%.6f', start))
  redis.call('PEXPIRE', B .. ':qv:' .. queue, DAY_MS)
end

local function pick(queue, wid, room, reply)
  local orgs = room > 0 and ready_orgs(queue, room) or {}
  if #orgs == 0 then
    return
  end
  local taken, touched, at = take(queue, orgs, room)
  if at then
    store(queue, touched, at)
  end
  if #taken == 0 then
    return
  end
  local number = redis.call('INCRBY', B .. ':seq', #taken) - #taken
  redis.call('PEXPIRE', B .. ':seq', KEEP_MS)
  local mids, leases, charged = {}, {}, 0
  for i, each in ipairs(taken) do
    mids[i] = each.mid
  end
  local records = redis.call('HMGET', B .. ':m', unpack(mids))
  for i, each in ipairs(taken) do
    if records[i] then
      local token = string.format('%.0f|%s|%.4f', number + i, each.since_ms, each.cost)
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
