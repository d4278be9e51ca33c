-- Messages that an operator removes.
-- NEEDS: keys values counters parking

-- Messages of an org that stood in a lane, and are not parked: removed without a look at them. Returns how many there were.
local function remove_ready(queue, org, message_ids)
  local removed = redis.call('HDEL', MESSAGES, unpack(message_ids))
  if redis.call('EXISTS', CRASHES, LARGE_MESSAGES) > 0 then
    redis.call('HDEL', CRASHES, unpack(message_ids))
    redis.call('HDEL', LARGE_MESSAGES, unpack(message_ids))
  end
  if removed > 0 then
    count_down(ORG_SIZES, org, removed)
    count_down(QUEUE_SIZES, queue, removed)
  end
  return removed
end

-- One that was taken from where it stood, with its record, or false where there is none. Returns how many there were.
local function remove_message(queue, message_id, record)
  if not record then
    return 0
  end
  local _, org = split_record(record)
  unpark(queue, message_id)
  return remove_ready(queue, org, {message_id})
end
