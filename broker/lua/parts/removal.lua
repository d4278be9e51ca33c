-- Messages that an operator removes.
-- NEEDS: keys values counters parking delays sizes

-- What these hold in bytes, by queue and org. The size of a large one is known, and it has the mark: only small ones are
-- read.
local function bytes_held(queue, message_ids, orgs)
  local sizes = redis.call('EXISTS', LARGE_MESSAGES) == 1 and redis.call('HMGET', LARGE_MESSAGES, unpack(message_ids)) or {}
  local held, small, places = {}, {}, {}
  for i, message_id in ipairs(message_ids) do
    if sizes[i] then
      tally_bytes(held, queue, orgs[i], -tonumber(sizes[i]))
    else
      small[#small + 1], places[#places + 1] = message_id, i
    end
  end
  for i, record in ipairs(#small > 0 and redis.call('HMGET', MESSAGES, unpack(small)) or {}) do
    if record then
      tally_bytes(held, queue, orgs[places[i]], -counted_bytes(record))
    end
  end
  return held
end

-- Messages that stood in lanes, and are not parked, by org: removed after all else was done. Returns how many there were.
local function remove_ready(queue, message_ids_by_org)
  local all, orgs = {}, {}
  for org, message_ids in pairs(message_ids_by_org) do
    count_down(ORG_SIZES, org, #message_ids)
    for _, message_id in ipairs(message_ids) do
      all[#all + 1], orgs[#orgs + 1] = message_id, org
    end
  end
  if #all == 0 then
    return 0
  end
  count_down(QUEUE_SIZES, queue, #all)
  write_bytes(bytes_held(queue, all, orgs), {})
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
  local bytes = {}
  tally_bytes(bytes, queue, org, -counted_bytes(record))
  unpark(queue, message_id)
  unindex_delays(queue, org, {message_id})
  redis.call('HDEL', MESSAGES, message_id)
  redis.call('HDEL', CRASHES, message_id)
  redis.call('HDEL', LARGE_MESSAGES, message_id)
  count_down(ORG_SIZES, org, 1)
  count_down(QUEUE_SIZES, queue, 1)
  write_bytes(bytes, {})
  return 1
end
