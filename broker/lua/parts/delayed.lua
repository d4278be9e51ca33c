-- What is not due yet: delayed and parked messages, and blocked lanes and orgs.
-- NEEDS: keys values lanes parking enqueueing gates clock

-- At most so many of each that are due become ready.
local function promote(queue, max)
  local delayed, lead_ms = delayed_messages(queue), timer_lead_ms()
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now + lead_ms, 'WITHSCORES', 'LIMIT', 0, max)
  local any_parked = #due > 0 and redis.call('EXISTS', PARKED_CAUSES) == 1
  local any_crashed = #due > 0 and redis.call('EXISTS', CRASHES) == 1
  for i = 1, #due, 2 do
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
  local blocked = blocked_lanes(queue)
  local open = redis.call('ZRANGEBYSCORE', blocked, '-inf', now + lead_ms, 'WITHSCORES', 'LIMIT', 0, max)
  for i = 1, #open, 2 do
    local org_and_lane = open[i]
    redis.call('ZREM', blocked, org_and_lane)
    readmit(queue, split_pair(org_and_lane))
  end
end

-- Milliseconds until something of the queue is due; -1 when nothing will be by itself.
local function next_due_ms(queue)
  local message_ms = redis.call('ZRANGE', delayed_messages(queue), 0, 0, 'WITHSCORES')[2]
  local lane_ms = redis.call('ZRANGE', blocked_lanes(queue), 0, 0, 'WITHSCORES')[2]
  local at = math.min(tonumber(message_ms or NEVER_MS), tonumber(lane_ms or NEVER_MS))
  return at < NEVER_MS and math.max(0, math.ceil(at - timer_lead_ms() - now)) or -1
end
