-- Messages that an operator removes.
-- NEEDS: keys values counters parking delays

-- Removes messages that were taken from where they stood. Returns how many there were.
local function remove_messages(queue, message_ids)
  local by_org, removed = {}, 0
  for _, message_id in ipairs(message_ids) do
    local record = redis.call('HGET', MESSAGES, message_id)
    if record then
      local _, org = split_record(record)
      by_org[org] = by_org[org] or {}
      by_org[org][#by_org[org] + 1] = message_id
      removed = removed + 1
      unpark(queue, message_id)
      redis.call('HDEL', MESSAGES, message_id)
      redis.call('HDEL', CRASHES, message_id)
    end
  end
  for org, ids in pairs(by_org) do
    unindex_delays(queue, org, ids)
    count_down(ORG_SIZES, org, #ids)
  end
  if removed > 0 then
    count_down(QUEUE_SIZES, queue, removed)
  end
  return removed
end
