-- What is not due yet: delayed and parked messages, and blocked lanes and orgs.
-- NEEDS: keys values parking enqueueing gates waiting budget large_messages clock

-- Each that becomes ready costs so many commands.
local COMMANDS_PROMOTED = 15
local MAX_PROMOTED = 100
-- What is left for the messages that are leased.
local RESERVED_BYTES = 3 * 1024 * 1024

local function message_ids_of(due)
  local message_ids = {}
  for i = 1, #due, 2 do
    message_ids[#message_ids + 1] = due[i]
  end
  return message_ids
end

-- Some of each that are due become ready.
local function promote(queue)
  -- Half of what may be done is left for the rest of the call.
  local max = affordable(2 * COMMANDS_PROMOTED, MAX_PROMOTED)
  local delayed, lead_ms = delayed_messages(queue), timer_lead_ms()
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now + lead_ms, 'WITHSCORES', 'LIMIT', 0, max)
  local any_parked = #due > 0 and redis.call('EXISTS', PARKED_CAUSES) == 1
  local any_crashed = #due > 0 and redis.call('EXISTS', CRASHES) == 1
  local readable_ones = readable(message_ids_of(due), RESERVED_BYTES)
  for i = 1, 2 * readable_ones, 2 do
    local message_id, due_ms = due[i], tonumber(due[i + 1]) - lead_ms
    redis.call('ZREM', delayed, message_id)
    local record = redis.call('HGET', MESSAGES, message_id)
    if record then
      local _, org, lane = split_record(record)
      if any_parked then
        unpark(queue, message_id)
      end
      make_ready(queue, org, lane, message_id, due_ms, any_crashed and redis.call('HGET', CRASHES, message_id))
    end
  end
  spend(COMMANDS_PROMOTED * #due / 2)
  let_in(queue)
end

-- Milliseconds until something of the queue is due; -1 when nothing will be by itself.
local function next_due_ms(queue)
  local message_ms = redis.call('ZRANGE', delayed_messages(queue), 0, 0, 'WITHSCORES')[2]
  local lane_ms = redis.call('ZRANGE', blocked_lanes(queue), 0, 0, 'WITHSCORES')[2]
  local at = math.min(tonumber(message_ms or NEVER_MS), tonumber(lane_ms or NEVER_MS))
  return at < NEVER_MS and math.max(0, math.ceil(at - timer_lead_ms() - now)) or -1
end
