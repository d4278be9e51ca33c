-- What is not due yet: delayed and parked messages, and blocked lanes and orgs.
-- NEEDS: keys values wakeups lanes parking delays crashes gates waiting budget large_messages clock

-- Most messages, and orgs with such, which one call makes ready.
local MAX_PROMOTED = 100
local MAX_DUE_ORGS = 20
-- Most messages that a call adds to an org's set.
local MAX_INDEXED = 20
-- What an org costs whose messages become due, each of its lanes, and one that was parked, in commands.
local COMMANDS_OF_DUE_ORG = 12
local COMMANDS_OF_DUE_LANE = 14
local COMMANDS_UNPARKED = 5
-- What is left for the rest of the call: half of what it may do, and the messages that it leases.
local RESERVED_COMMANDS = 470
local RESERVED_BYTES = 3 * 1024 * 1024
local RESERVED_ELEMENTS = 300
-- Of each message, in elements.
local ELEMENTS_PROMOTED = 8

-- Messages of an org to the ends of their lanes, in this order, or to the suspects.
local function make_due(queue, org, message_ids, due_ms)
  local records = redis.call('HMGET', MESSAGES, unpack(message_ids))
  local parked = redis.call('EXISTS', PARKED_CAUSES) == 1 and redis.call('HMGET', PARKED_CAUSES, unpack(message_ids)) or {}
  local crashes = redis.call('EXISTS', CRASHES) == 1 and redis.call('HMGET', CRASHES, unpack(message_ids)) or {}
  local entries, lanes = {}, {}
  for i, message_id in ipairs(message_ids) do
    if parked[i] then
      unpark(queue, message_id)
      spend(COMMANDS_UNPARKED)
    end
    if records[i] and crashes[i] and is_suspect(crashes[i]) then
      redis.call('ZADD', suspect_messages(queue), due_ms[message_id], message_id)
    elseif records[i] then
      local _, _, lane = split_record(records[i])
      if not entries[lane] then
        entries[lane] = {}
        lanes[#lanes + 1] = lane
      end
      entries[lane][#entries[lane] + 1] = due_ms[message_id] .. '|' .. message_id
    end
  end
  for _, lane in ipairs(lanes) do
    append_entries(queue, org, lane, entries[lane])
  end
  spend(COMMANDS_OF_DUE_LANE * #lanes)
end

-- So many of an org's messages that are due become ready; then its turn comes again behind others that have such.
local function promote_org(queue, org, max)
  local own, all, lead_ms = delayed_of_org(queue, org), delayed_messages(queue), timer_lead_ms()
  local message_ids, due_ms = {}, {}
  local due = redis.call('ZRANGEBYSCORE', own, '-inf', now + lead_ms, 'WITHSCORES', 'LIMIT', 0, max)
  for i = 1, #due, 2 do
    message_ids[#message_ids + 1] = due[i]
    due_ms[due[i]] = string.format('%.0f', due[i + 1] - lead_ms)
  end
  local readable_ones = #message_ids > 0 and readable(message_ids, RESERVED_BYTES) or 0
  for i = #message_ids, readable_ones + 1, -1 do
    message_ids[i] = nil
  end
  spend(COMMANDS_OF_DUE_ORG, 0, ELEMENTS_PROMOTED * #message_ids)
  if #message_ids > 0 then
    -- What stands in the queue's set no more, a process of release 0.1.0 has made ready, or removed.
    local standing, still = redis.call('ZMSCORE', all, unpack(message_ids)), {}
    for i, message_id in ipairs(message_ids) do
      if standing[i] then
        still[#still + 1] = message_id
      end
    end
    redis.call('ZREM', own, unpack(message_ids))
    redis.call('ZREM', all, unpack(message_ids))
    if #still > 0 then
      make_due(queue, org, still, due_ms)
    end
  end
  local following = redis.call('ZRANGE', own, 0, 0, 'WITHSCORES')[2]
  if following then
    redis.call('ZADD', due_orgs(queue), string.format('%.0f', math.max(tonumber(following), now + lead_ms)), org)
  else
    redis.call('ZREM', due_orgs(queue), org)
  end
  return #message_ids
end

-- The next of those that are due stand in the queue's set alone where a process of release 0.1.0 has sent them.
local function index_due(queue)
  local until_ms = now + timer_lead_ms()
  local due = redis.call('ZRANGEBYSCORE', delayed_messages(queue), '-inf', until_ms, 'WITHSCORES', 'LIMIT', 0, MAX_INDEXED)
  for i = 1, #due, 2 do
    local message_id, due_ms = due[i], due[i + 1]
    local record = redis.call('HGET', MESSAGES, message_id)
    if record then
      local _, org = split_record(record)
      index_delay(queue, org, message_id, due_ms)
    else
      redis.call('ZREM', delayed_messages(queue), message_id)
    end
  end
  return #due > 0
end

local function find_due_orgs(queue)
  local found, orgs = nil, {}
  found = redis.call('ZRANGEBYSCORE', due_orgs(queue), '-inf', now + timer_lead_ms(), 'WITHSCORES', 'LIMIT', 0, MAX_DUE_ORGS)
  for i = 1, #found, 2 do
    orgs[#orgs + 1] = found[i]
  end
  return orgs
end

-- Some of an org's at once: each may have a lane of its own, and have been parked.
local function affordable_of(promoted, orgs)
  local of_each = math.floor((MAX_PROMOTED - promoted) / #orgs)
  local most = math.floor((commands_left - RESERVED_COMMANDS) / (COMMANDS_OF_DUE_LANE + COMMANDS_UNPARKED))
  local elements = math.floor((elements_left - RESERVED_ELEMENTS) / ELEMENTS_PROMOTED)
  return math.max(1, math.min(of_each, most, elements))
end

local function may_promote(promoted)
  return promoted < MAX_PROMOTED and commands_left > RESERVED_COMMANDS and bytes_left > RESERVED_BYTES
    and elements_left > RESERVED_ELEMENTS
end

-- Makes messages ready that are due, as many of each org that has such, and lets in who was blocked until now. Returns how
-- many messages.
local function promote(queue)
  local promoted, before = 0, -1
  while promoted > before and may_promote(promoted) do
    before = promoted
    local orgs = find_due_orgs(queue)
    if #orgs == 0 and index_due(queue) then
      orgs = find_due_orgs(queue)
    end
    for _, org in ipairs(orgs) do
      -- Who is not asked keeps its turn.
      if may_promote(promoted) then
        promoted = promoted + promote_org(queue, org, affordable_of(promoted, orgs))
      end
    end
  end
  let_in(queue)
  return promoted
end

local left_to_promote = MAX_PROMOTED

-- The same for a queue of which no fetch may come soon, since all threads are busy; a call does no more for several of them.
local function promote_without_fetch(queue)
  if left_to_promote > 0 then
    index_due(queue)
    local promoted = promote(queue)
    left_to_promote = left_to_promote - promoted
    if promoted > 0 then
      wake(queue)
    end
  end
end

-- Milliseconds until something of the queue is due; -1 when nothing will be by itself.
local function next_due_ms(queue)
  local message_ms = redis.call('ZRANGE', delayed_messages(queue), 0, 0, 'WITHSCORES')[2]
  local lane_ms = redis.call('ZRANGE', blocked_lanes(queue), 0, 0, 'WITHSCORES')[2]
  local at = math.min(tonumber(message_ms or NEVER_MS), tonumber(lane_ms or NEVER_MS))
  return at < NEVER_MS and math.max(0, math.ceil(at - timer_lead_ms() - now)) or -1
end
