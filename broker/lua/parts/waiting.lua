-- What may not run for now, where it waits, and how it is let in again, a few at a time: orgs, actors of orgs, and lanes
-- whose concurrency key has no slot.
-- NEEDS: keys values clock gates lane_order lanes budget

-- Stands among what is blocked for something else; no org is stored under this name. With no name behind it: for the
-- gates of actors (`blocked_actors`), when the first of them is due. With ":<org>:<key>": lanes wait for a key of which
-- nothing may be leased.
local OTHERS = '|'
local GATES_DUE = '|\n'
local function key_due(org, key) return '|\n:' .. org .. ':' .. key end

-- Each that is let in costs so many commands.
local COMMANDS_LET_IN = 20
local MAX_LET_IN = 24
-- Of those that wait for a slot of a key the first may take it; the second, when nothing of the first is left.
local MAX_FOR_SLOT = 2

local function leased_with_key(org, key) return tonumber(redis.call('HGET', LEASED_BY_KEY, pair(org, key)) or '0') end

-- By the clock of timers.
local function by_timers(at_ms) return string.format('%.0f', math.min(math.ceil(at_ms) + timer_lead_ms(), NEVER_MS)) end

local function set_org_aside(queue, org, until_ms)
  redis.call('ZADD', blocked_lanes(queue), by_timers(until_ms), pair(org, ''))
end

-- When the gate of an actor is looked at again, for those that wait for it.
local function watch_gate(queue, actor, at_ms)
  local at = by_timers(at_ms)
  redis.call('ZADD', blocked_actors(queue), at, actor)
  redis.call('ZADD', blocked_lanes(queue), 'LT', at, GATES_DUE)
end

local watched = {}

-- Holds all lanes of an actor: by the actor's own gate, or for this org alone.
local function set_actor_aside(queue, org, actor, until_ms, by_gate)
  hold_actor(queue, org, actor)
  if not by_gate then
    redis.call('ZADD', blocked_lanes(queue), by_timers(until_ms), pair(org, actor))
    return
  end
  redis.call('ZADD', gate_waiters(queue, actor), 'NX', now, org)
  if not watched[actor] then
    watched[actor] = true
    watch_gate(queue, actor, until_ms)
  end
end

local function set_lane_aside(queue, org, lane, score, key)
  order_lane(queue, org, lane, score + HELD)
  redis.call('ZADD', key_waiters(org, key), score, pair(queue, lane))
end

-- The first of those that wait for a slot of a key. Where others are left, they are looked after.
local function admit_key_waiters(org, key)
  local waiters = key_waiters(org, key)
  local first = redis.call('ZPOPMIN', waiters, MAX_FOR_SLOT)
  local last_queue = nil
  for i = 1, #first, 2 do
    local queue, lane = split_pair(first[i])
    readmit(queue, org, lane)
    last_queue = queue
  end
  if #first == 2 * MAX_FOR_SLOT and redis.call('EXISTS', waiters) == 1 then
    redis.call('ZADD', blocked_lanes(last_queue), now, key_due(org, key))
  end
end

-- Who has leased something with the key lets the next one in.
local function look_after_key(queue, member, org, key)
  local waiters = key_waiters(org, key)
  if redis.call('EXISTS', waiters) == 0 or leased_with_key(org, key) > 0 then
    redis.call('ZREM', blocked_lanes(queue), member)
  else
    admit_key_waiters(org, key)
  end
end

-- Orgs that waited for the gate of an actor, those that waited longest first.
local function admit_gate_waiters(queue, actor)
  local max = affordable(COMMANDS_LET_IN, MAX_LET_IN)
  local orgs = redis.call('ZPOPMIN', gate_waiters(queue, actor), max)
  for i = 1, #orgs, 2 do
    readmit(queue, orgs[i], actor)
  end
  spend(COMMANDS_LET_IN * #orgs / 2)
  if #orgs < 2 * max then
    redis.call('ZREM', blocked_actors(queue), actor)
  end
end

local function look_at_gates(queue)
  local actors = blocked_actors(queue)
  for _, actor in ipairs(redis.call('ZRANGEBYSCORE', actors, '-inf', now + timer_lead_ms(), 'LIMIT', 0, 2)) do
    local until_ms = blocked_until({'a:' .. actor})
    if until_ms then
      redis.call('ZADD', actors, by_timers(until_ms), actor)
    else
      admit_gate_waiters(queue, actor)
    end
  end
  local first_ms = redis.call('ZRANGE', actors, 0, 0, 'WITHSCORES')[2]
  if first_ms then
    redis.call('ZADD', blocked_lanes(queue), first_ms, GATES_DUE)
  else
    redis.call('ZREM', blocked_lanes(queue), GATES_DUE)
  end
end

-- Lets in some of what is blocked no more.
local function let_in(queue)
  local blocked = blocked_lanes(queue)
  local max, until_ms = affordable(COMMANDS_LET_IN, MAX_LET_IN), now + timer_lead_ms()
  local due = redis.call('ZRANGEBYSCORE', blocked, '-inf', until_ms, 'WITHSCORES', 'LIMIT', 0, max)
  for i = 1, #due, 2 do
    local member = due[i]
    local org, name = split_pair(member)
    if org ~= OTHERS then
      redis.call('ZREM', blocked, member)
      readmit(queue, org, name)
    elseif name == '' then
      look_at_gates(queue)
    else
      local waits, key = string.match(name, '^:([^:]*):(.*)$')
      look_after_key(queue, member, waits, key)
    end
  end
  spend(COMMANDS_LET_IN * #due / 2)
end

-- Nothing of an actor of an org waits any more: what would let it in is removed.
local function forget_actor(queue, org, actor)
  local waiters = gate_waiters(queue, actor)
  redis.call('ZREM', blocked_lanes(queue), pair(org, actor))
  if redis.call('ZREM', waiters, org) == 1 and redis.call('EXISTS', waiters) == 0 then
    redis.call('ZREM', blocked_actors(queue), actor)
    if redis.call('EXISTS', blocked_actors(queue)) == 0 then
      redis.call('ZREM', blocked_lanes(queue), GATES_DUE)
    end
  end
end
