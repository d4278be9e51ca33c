-- What is not due yet: delayed and parked messages, and blocked lanes and orgs.
-- NEEDS: keys values wakeups lanes parking delays crashes gates waiting budget large_messages clock

-- Most messages, and orgs with such, of which a call makes some ready, and what each costs in commands; one that is parked
-- costs more.
local MAX_PROMOTED, COMMANDS_OF_MESSAGE = 100, 1
local MAX_PARKED_PROMOTED, COMMANDS_OF_PARKED = 50, 6
local MAX_DUE_ORGS, COMMANDS_OF_DUE_ORG = 24, 19
-- What is left for the messages that are leased.
local RESERVED_BYTES = 3 * 1024 * 1024
-- Most messages that a call adds to an org's set.
local MAX_INDEXED = 20

-- Messages of an org to the ends of their lanes, in this order, or to the suspects.
local function make_due(queue, org, message_ids, due_ms)
  local records = redis.call('HMGET', MESSAGES, unpack(message_ids))
  local parked = redis.call('EXISTS', PARKED_CAUSES) == 1 and redis.call('HMGET', PARKED_CAUSES, unpack(message_ids)) or {}
  local crashes = redis.call('EXISTS', CRASHES) == 1 and redis.call('HMGET', CRASHES, unpack(message_ids)) or {}
  local entries, lanes = {}, {}
  for i, message_id in ipairs(message_ids) do
    if parked[i] then
      unpark(queue, message_id)
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
  if #message_ids > 0 then
    message_ids = {unpack(message_ids, 1, readable(message_ids, RESERVED_BYTES))}
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
  -- Half of what may be done is left for the rest of the call.
  local max = affordable(2 * COMMANDS_OF_DUE_ORG, MAX_DUE_ORGS)
  local found, orgs = nil, {}
  found = redis.call('ZRANGEBYSCORE', due_orgs(queue), '-inf', now + timer_lead_ms(), 'WITHSCORES', 'LIMIT', 0, max)
  for i = 1, #found, 2 do
    orgs[#orgs + 1] = found[i]
  end
  return orgs
end

-- Makes messages ready that are due, as many of each org that has such, and lets in who was blocked until now. Returns how
-- many messages.
local function promote(queue)
  local orgs, promoted = find_due_orgs(queue), 0
  if #orgs == 0 and index_due(queue) then
    orgs = find_due_orgs(queue)
  end
  local any_parked = #orgs > 0 and redis.call('EXISTS', PARKED_CAUSES) == 1
  local max = math.max(1, math.floor((any_parked and MAX_PARKED_PROMOTED or MAX_PROMOTED) / math.max(1, #orgs)))
  for _, org in ipairs(orgs) do
    -- Who is not asked keeps its turn.
    if promoted == 0 or bytes_left > RESERVED_BYTES then
      promoted = promoted + promote_org(queue, org, max)
    end
  end
  spend(COMMANDS_OF_DUE_ORG * #orgs + (any_parked and COMMANDS_OF_PARKED or COMMANDS_OF_MESSAGE) * promoted)
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
