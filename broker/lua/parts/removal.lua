-- Messages that an operator removes.
-- NEEDS: keys values counters parking sizes

-- Removes messages that were taken from where they stood. Returns how many there were.
local function remove_messages(queue, message_ids)
  local by_org, bytes, removed = {}, {}, 0
  for _, message_id in ipairs(message_ids) do
    local record = redis.call('HGET', MESSAGES, message_id)
    if record then
      local _, org = split_record(record)
      tally(by_org, org, 1)
      tally_bytes(bytes, queue, org, -counted_bytes(record))
      removed = removed + 1
      unpark(queue, message_id)
      redis.call('HDEL', MESSAGES, message_id)
      redis.call('HDEL', CRASHES, message_id)
    end
  end
  for org, number in pairs(by_org) do
    count_down(ORG_SIZES, org, number)
  end
  if removed > 0 then
    count_down(QUEUE_SIZES, queue, removed)
  end
  write_bytes(bytes, {})
  return removed
end
