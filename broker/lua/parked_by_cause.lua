-- How many messages of a queue wait for what, in one word each: those that are parked, and those that may not run. The
-- latter are counted where few stand aside; of more, some are, and the others taken to be like them. Reads only.
-- KEYS: base
-- DERIVED: base:n, base:pn, base:aq, base:l:*, base:ql:*, base:qk:*, base:qd:*, base:qx:*, base:qs:*, base:qb:*, base:qg:*,
--          base:b:*, base:bz:*, base:a, base:ak, base:g
-- ARGV: queue
-- Returns: any number of times: word number
-- NEEDS: keys values counters budget waiting lane_order
local MAX_COUNTED = 40
local MAX_LANES_COUNTED = 5
local queue, counts = ARGV[1], {}

-- What blocks any of these gates; nil when all are open.
local function blocked_by(gates)
  spend(1)
  for _, blocks in ipairs(redis.call('HMGET', GATES, unpack(gates))) do
    for source, block in pairs(blocks and cjson.decode(blocks) or {}) do
      if block[1] == 0 or block[1] > now then
        return source == 'breakers' and 'breaker' or 'pause'
      end
    end
  end
end

-- Counts some of so many and, by word, what all of them would be.
local function count_like(sample, total, count)
  local found, seen = {}, 0
  for _, each in ipairs(sample) do
    if seen > 0 and commands_left < 40 then
      break
    end
    count(each, found)
    seen = seen + 1
  end
  for word, number in pairs(found) do
    tally(counts, word, math.floor(number * math.max(total, seen) / seen + 0.5))
  end
end

local function messages_of_lanes(org, set, lanes)
  local sum = 0
  for i = 1, #lanes do
    local lane = lanes[i]
    sum = sum + redis.call('LLEN', lane_key(queue, org, lane))
  end
  spend(#lanes + 2)
  return #lanes == MAX_LANES_COUNTED and math.floor(sum * redis.call('ZCARD', set) / #lanes + 0.5) or sum
end

-- How many messages an org has in its lanes, or those of one actor.
local function messages_of(org, actor)
  local sum, lanes = 0, org_lanes(queue, org)
  for _, lane in ipairs(redis.call('ZRANGE', lanes, 0, MAX_LANES_COUNTED - 1)) do
    local its_actor = actor_of(lane)
    if actor == '' or its_actor == actor then
      if is_few(lane) then
        sum = sum + redis.call('LLEN', lane_key(queue, org, lane))
      else
        local others = actor_lanes(queue, org, its_actor)
        sum = sum + messages_of_lanes(org, others, redis.call('ZRANGE', others, 0, MAX_LANES_COUNTED - 1))
      end
    end
    spend(1)
  end
  spend(1)
  return sum
end

-- Orgs, and actors of orgs, that have something of their own to wait for.
local function count_blocked()
  local blocked, members = blocked_lanes(queue), {}
  for _, member in ipairs(redis.call('ZRANGE', blocked, 0, MAX_COUNTED - 1)) do
    local org = split_pair(member)
    if org ~= OTHERS then
      members[#members + 1] = member
    end
  end
  count_like(members, redis.call('ZCARD', blocked), function(member, found)
    local org, actor = split_pair(member)
    local gate = actor == '' and 'o:' .. org or 'x:' .. org .. ':' .. actor
    tally(found, blocked_by({gate}) or actor ~= '' and 'rate' or 'pause', messages_of(org, actor))
  end)
end

local function count_behind_gates()
  for _, actor in ipairs(redis.call('ZRANGE', blocked_actors(queue), 0, 4)) do
    local orgs, word = gate_waiters(queue, actor), blocked_by({'a:' .. actor}) or 'pause'
    count_like(redis.call('ZRANGE', orgs, 0, MAX_COUNTED - 1), redis.call('ZCARD', orgs), function(org, found)
      tally(found, word, messages_of(org, actor))
    end)
  end
end

-- Who waits for a slot has something leased.
local function count_behind_leases()
  local orgs = redis.call('HRANDFIELD', LEASED_BY_ORG, MAX_COUNTED)
  count_like(orgs, redis.call('HLEN', LEASED_BY_ORG), function(org, found)
    spend(1)
    if redis.call('SISMEMBER', org_waiters(org), pair(queue, '')) == 1 then
      tally(found, 'limit', messages_of(org, ''))
    end
  end)
  local keys = redis.call('HRANDFIELD', LEASED_BY_KEY, MAX_COUNTED)
  count_like(keys, redis.call('HLEN', LEASED_BY_KEY), function(org_and_key, found)
    local org, key = split_pair(org_and_key)
    local waiters, lanes = key_waiters(org, key), {}
    for _, waiter in ipairs(redis.call('ZRANGE', waiters, 0, MAX_LANES_COUNTED - 1)) do
      local waits_in, lane = split_pair(waiter)
      if waits_in == queue then
        lanes[#lanes + 1] = lane
      end
    end
    spend(1)
    if #lanes > 0 then
      tally(found, 'key', messages_of_lanes(org, waiters, lanes))
    end
  end)
end

local parked = redis.call('HGETALL', PARKED_COUNTS)
for i = 1, #parked, 2 do
  local parked_in, word = split_pair(parked[i])
  if parked_in == queue then
    tally(counts, word, tonumber(parked[i + 1]))
  end
end

local queue_blocked_by = blocked_by({'q:' .. queue})
if queue_blocked_by then
  local all = redis.call('HGET', QUEUE_SIZES, queue) or '0'
  local leased = redis.call('HGET', LEASED_BY_QUEUE, queue) or '0'
  local ready = all - leased - redis.call('ZCARD', delayed_messages(queue)) - redis.call('ZCARD', suspect_messages(queue))
  if ready > 0 then
    tally(counts, queue_blocked_by, ready)
  end
else
  count_blocked()
  count_behind_gates()
  count_behind_leases()
end

local reply = {}
for word, number in pairs(counts) do
  reply[#reply + 1] = word
  reply[#reply + 1] = number
end
return reply
