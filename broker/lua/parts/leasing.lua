-- Leases of messages that were taken from where they stood.
-- NEEDS: keys values counters crashes fair_share slots dead_letters sizes

-- What stood in a lane and is not this lane's message: another's record, no record of ours, or none at all.
local function reject_foreign(queue, message, record)
  if record then
    redis.call('HDEL', MESSAGES, message.message_id)
    redis.call('HDEL', CRASHES, message.message_id)
    local counted_in, counted_for = split_record(record)
    local bytes = {}
    tally_bytes(bytes, counted_in, counted_for, -counted_bytes(record))
    write_bytes(bytes, {})
    count_down(QUEUE_SIZES, queue, 1)
    count_down(ORG_SIZES, message.org, 1)
  end
  local bytes = record or message.since_ms .. '|' .. message.message_id
  keep_foreign(queue, message.message_id, bytes, record)
  release_slot(message.org, message.lane)
end

-- Each of `taken` is {message_id, since_ms, cost_ms, interval_ms, time, org, lane}. Adds message_id, token and record of
-- each to the reply.
local function lease_messages(queue, worker_id, taken, flag, reply)
  local first = redis.call('INCRBY', LEASE_COUNTER, #taken) - #taken
  redis.call('PEXPIRE', LEASE_COUNTER, WEEK_MS)
  local message_ids, leases, charged_ms = {}, {}, 0
  for i, message in ipairs(taken) do
    message_ids[i] = message.message_id
  end
  local records = redis.call('HMGET', MESSAGES, unpack(message_ids))
  local crashes = redis.call('EXISTS', CRASHES) == 1 and redis.call('HMGET', CRASHES, unpack(message_ids)) or {}
  local header, org, lane
  for i, message in ipairs(taken) do
    local record, mark = records[i], nil
    if message.org ~= org or message.lane ~= lane then
      org, lane = message.org, message.lane
      header = queue .. '\n' .. org .. '\n' .. lane .. '\n'
    end
    if record and string.sub(record, 1, #header) == header then
      -- What an enqueue id begins with.
      mark = string.match(record, '^(%.?)[^\n]*\n', #header + 1)
    end
    if not mark then
      reject_foreign(queue, message, record)
    else
      local own_flag = message.by_age and BY_AGE or flag
      local token = string.format('%.0f|%s|%.4f|%s|%.0f|%.6f|b%d|%s', first + i, message.since_ms, message.cost_ms,
        message.interval_ms, now, message.time, mark == '.' and #record or 0, crashes[i] and is_poison(crashes[i]) and POISON or own_flag)
      charged_ms = charged_ms + message.cost_ms
      leases[#leases + 1] = message.message_id
      leases[#leases + 1] = token
      local n = #reply
      reply[n + 1], reply[n + 2], reply[n + 3] = message.message_id, token, record
    end
  end
  if #leases > 0 then
    redis.call('HSET', lease_key(worker_id), unpack(leases))
    redis.call('HINCRBY', LEASED_BY_QUEUE, queue, #leases / 2)
    add_outstanding(queue, charged_ms)
  end
end
