-- Leases of messages that were taken from where they stood.
-- NEEDS: keys values crashes fair_share

-- Each of `taken` is {message_id, since_ms, cost_ms, interval_ms, time}. Adds message_id, token and record of each to the reply.
local function lease_messages(queue, worker_id, taken, flag, reply)
  local first = redis.call('INCRBY', LEASE_COUNTER, #taken) - #taken
  redis.call('PEXPIRE', LEASE_COUNTER, WEEK_MS)
  local message_ids, leases, charged_ms = {}, {}, 0
  for i, message in ipairs(taken) do
    message_ids[i] = message.message_id
  end
  local records = redis.call('HMGET', MESSAGES, unpack(message_ids))
  local crashes = redis.call('EXISTS', CRASHES) == 1 and redis.call('HMGET', CRASHES, unpack(message_ids)) or {}
  for i, message in ipairs(taken) do
    if records[i] then
      local token = string.format('%.0f|%s|%.4f|%s|%.0f|%.6f|%s', first + i, message.since_ms, message.cost_ms,
        message.interval_ms, now, message.time, crashes[i] and is_poison(crashes[i]) and POISON or flag)
      charged_ms = charged_ms + message.cost_ms
      leases[#leases + 1] = message.message_id
      leases[#leases + 1] = token
      local n = #reply
      reply[n + 1], reply[n + 2], reply[n + 3] = message.message_id, token, records[i]
    end
  end
  if #leases > 0 then
    redis.call('HSET', lease_key(worker_id), unpack(leases))
    add_outstanding(queue, charged_ms)
  end
end
