-- Messages that an operator removes.
-- NEEDS: keys values counters parking

-- Messages that stood in lanes, and are not parked, by org: removed without a look at them, after all else was done, since
-- nothing could put them back. Returns how many there were.
local function remove_ready(queue, message_ids_by_org)
  local all = {}
  for org, message_ids in pairs(message_ids_by_org) do
    count_down(ORG_SIZES, org, #message_ids)
    for _, message_id in ipairs(message_ids) do
      all[#all + 1] = message_id
    end
  end
  if #all == 0 then
    return 0
  end
  count_down(QUEUE_SIZES, queue, #all)
  if redis.call('EXISTS', CRASHES, LARGE_MESSAGES) > 0 then
    redis.call('HMGET', CRASHES, unpack(all))
    redis.call('HDEL', CRASHES, unpack(all))
    redis.call('HDEL', LARGE_MESSAGES, unpack(all))
  end
  return redis.call('HDEL', MESSAGES, unpack(all))
end

-- One that was taken from where it stood, with its record, or false where there is none. Returns how many there were.
local function remove_message(queue, message_id, record)
  if not record then
    return 0
  end
  local _, org = split_record(record)
  unpark(queue, message_id)
  redis.call('HDEL', MESSAGES, message_id)
  redis.call('HDEL', CRASHES, message_id)
  redis.call('HDEL', LARGE_MESSAGES, message_id)
  count_down(ORG_SIZES, org, 1)
  count_down(QUEUE_SIZES, queue, 1)
  return 1
end
