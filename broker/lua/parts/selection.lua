-- Who is next: the org with the lowest virtual time, and of its lanes the one whose head is oldest. Who may not run
-- leaves the ready set, until a slot, a gate or a time lets it in.
-- NEEDS: keys values age fair_share lane_order waiting budget gates shares rates runtimes large_messages

local MIN_COST_MS = 0.05
-- So many times a fetch looks for others, when those it found may not run.
local MAX_ROUNDS = 4
-- What an org costs that is looked at, a lane that something is taken from, and what is set aside, in commands.
local COMMANDS_OF_ORG = 8
local COMMANDS_OF_LANE = 17
local COMMANDS_ASIDE = 13
-- What a message costs that is leased, in elements.
local ELEMENTS_LEASED = 4
-- A call that has moved so much else that less is left leases no message that is larger.
local MIN_BYTES = 2 * 1024 * 1024

-- What is configured at all; nothing is asked about the rest.
local function read_rules(max_active, room_bytes)
  return {max_bytes = math.min(room_bytes, bytes_left), max_active = max_active, has_shares = redis.call('EXISTS', ORG_SHARES) == 1,
    has_rates = redis.call('EXISTS', START_RATES) == 1, has_gates = redis.call('EXISTS', GATES) == 1}
end

-- Writes what was taken from the lane that is open, and closes it.
local function close_lane(queue, org)
  local lane = org.lane
  org.lane = nil
  if not lane or lane.taken == 0 then
    return
  end
  redis.call('LPOP', lane.key, lane.taken)
  if lane.slots then
    redis.call('HINCRBY', LEASED_BY_KEY, pair(org.name, lane.slots.key), lane.taken)
  end
  if lane.rate then
    store_rate(lane.rate)
  end
  local head = redis.call('LINDEX', lane.key, 0)
  if head then
    order_lane(queue, org.name, lane.name, lane_score(lane.name, since_of(head)))
  else
    drop_lane(queue, org.name, lane.name)
  end
end

-- The lane, when something of it may run now; else it, or all of its actor, is set aside.
local function admit_lane(queue, org, name, score, rules)
  local actor = actor_of(name)
  local lane = {name = name, key = lane_key(queue, org.name, name), taken = 0, actor = actor}
  local until_ms, gate = nil, nil
  if rules.has_gates then
    until_ms, gate = blocked_until({'a:' .. actor, 'x:' .. org.name .. ':' .. actor})
  end
  if not until_ms and rules.has_rates and org.name ~= '' then
    lane.rate, until_ms = start_rate(org.name, actor)
  end
  local key, max = concurrency_of(name)
  if not until_ms and key and org.name ~= '' then
    local free = tonumber(max) - leased_with_key(org.name, key)
    if free <= 0 then
      set_lane_aside(queue, org.name, name, score, key)
      return nil
    end
    lane.slots = {key = key, free = free}
  end
  if until_ms then
    set_actor_aside(queue, org.name, actor, until_ms, gate == 'a:' .. actor)
    return nil
  end
  return lane
end

local function message_ids_in(entries)
  local message_ids = {}
  for i, entry in ipairs(entries) do
    local _, message_id = split_entry(entry)
    message_ids[i] = message_id
  end
  return message_ids
end

-- Returns whether the org has a lane with something in it that may run; false also where too many were set aside to
-- look for more now.
local function open_lane(queue, org, max_entries, rules)
  close_lane(queue, org)
  while commands_left >= COMMANDS_ASIDE do
    local name, score, next_score = first_lane(queue, org.name)
    if not name then
      return false
    end
    local lane = admit_lane(queue, org, name, score, rules)
    if lane then
      lane.entries = redis.call('LRANGE', lane.key, 0, max_entries)
      lane.sizes = sizes_of(message_ids_in(lane.entries))
      org.lane, org.next_score = lane, next_score
      spend(COMMANDS_OF_LANE)
      return true
    end
    spend(COMMANDS_ASIDE)
  end
  return false
end

-- Whether the lane has to be closed before the next of its messages.
local function is_exhausted(org)
  local lane = org.lane
  local following = lane.entries[lane.taken + 1]
  return not following
    or (lane.slots and lane.slots.free == 0)
    or (lane.rate and lane.rate.due_ms - lane.rate.tolerance_ms > now)
    or lane_score(lane.name, since_of(following)) > org.next_score
end

local function wait_for_own_leases(queue, org, time)
  leave_ready(queue, org, time)
  redis.call('SADD', org_waiters(org), pair(queue, ''))
end

-- The org, when something of it may run now; else it has left the ready set.
local function admit_org(queue, name, time, rules)
  local share = rules.has_shares and share_of(name) or {weight = 1}
  -- Messages of nobody have no limits: they would hold each other up.
  local max = name ~= '' and (share.max or rules.max_active)
  local slots = max and max - tonumber(redis.call('HGET', LEASED_BY_ORG, name) or '0') or math.huge
  local until_ms = rules.has_gates and blocked_until({'o:' .. name})
  if until_ms then
    leave_ready(queue, name, time)
    set_org_aside(queue, name, until_ms)
  elseif slots <= 0 then
    wait_for_own_leases(queue, name, time)
  else
    return {name = name, time = time, weight = share.weight, slots = slots, taken = 0}
  end
end

-- The first orgs that may run something, and how many were looked at.
local function admit_orgs(queue, room, rules)
  local lowest = redis.call('ZRANGE', ready_orgs(queue), 0, room - 1, 'WITHSCORES')
  local orgs = {}
  for i = 1, #lowest, 2 do
    orgs[#orgs + 1] = admit_org(queue, lowest[i], tonumber(lowest[i + 1]), rules)
  end
  spend(COMMANDS_OF_ORG * #lowest / 2)
  return orgs, #lowest / 2
end

-- What an org is charged in advance.
local function estimated_cost_ms(org, costs)
  local actor = org.lane.actor
  costs[actor] = costs[actor] or mean_runtime_ms(actor)
  return math.max(costs[actor], MIN_COST_MS) / org.weight
end

local function take_message(org, costs)
  local lane = org.lane
  local cost_ms = estimated_cost_ms(org, costs)
  lane.taken, org.taken, org.slots = lane.taken + 1, org.taken + 1, org.slots - 1
  org.time = org.time + cost_ms
  if lane.slots then
    lane.slots.free = lane.slots.free - 1
  end
  if lane.rate then
    lane.rate.due_ms = lane.rate.due_ms + lane.rate.interval_ms
  end
  local since_ms, message_id = split_entry(lane.entries[lane.taken])
  return {message_id = message_id, since_ms = since_ms, cost_ms = cost_ms, time = org.time, work_ms = cost_ms * org.weight,
    org = org.name, lane = lane.name, interval_ms = lane.rate and lane.rate.interval_ms or 0}
end

-- In bytes; what is small counts as none.
local function size_of_next(org)
  local lane = org.lane
  return tonumber(lane.sizes and lane.sizes[lane.taken + 1] or 0)
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

-- Takes messages in turns. Returns the orgs that were asked.
local function take_turns(queue, orgs, room, rules, taken)
  local max_entries, costs, asked = math.ceil((room - #taken) / #orgs), {}, {}
  while #taken < room and orgs[1] do
    local org = orgs[1]
    local needs_lane = not org.lane or is_exhausted(org)
    if needs_lane and org.slots > 0 and commands_left < COMMANDS_OF_LANE then
      break
    end
    if not org.asked then
      org.asked = true
      asked[#asked + 1] = org
    end
    if org.slots <= 0 or (needs_lane and not open_lane(queue, org, max_entries, rules)) then
      table.remove(orgs, 1)
    elseif (#taken > 0 or bytes_left < MIN_BYTES) and size_of_next(org) > rules.max_bytes then
      -- The next call has room for it.
      spend(commands_left, 0)
      break
    else
      rules.max_bytes = rules.max_bytes - size_of_next(org)
      taken[#taken + 1] = take_message(org, costs)
      sift(orgs)
    end
  end
  return asked
end

local function store_turns(queue, asked)
  for _, org in ipairs(asked) do
    close_lane(queue, org)
    if org.taken > 0 then
      redis.call('HINCRBY', LEASED_BY_ORG, org.name, org.taken)
    end
    local first = first_open(queue, org.name)
    if not first then
      leave_ready(queue, org.name, org.time)
    elseif org.slots <= 0 then
      wait_for_own_leases(queue, org.name, org.time)
    else
      redis.call('ZADD', ready_orgs(queue), string.format('%.6f', org.time), org.name)
      redis.call('ZADD', waiting_since(queue), since_of_first(first), org.name)
    end
  end
end
