-- Makes a batch of what is parked under a key due now.
-- KEYS: base
-- DERIVED: base:m, base:qd:*, base:qn:*, base:qo:*, base:pk:*, base:wake:*
-- ARGV: key max
-- Returns: how many were checked; 0 when none is left
-- NEEDS: keys values wakeups delays
local key, max = ARGV[1], ARGV[2]
local index, due_ms = parked_under(key), string.format('%.0f', now)
local message_ids = take_readable(redis.call('SRANDMEMBER', index, max), {bytes = MAX_READ_BYTES})
if #message_ids == 0 then
  return 0
end
redis.call('SREM', index, unpack(message_ids))
for i, record in ipairs(redis.call('HMGET', MESSAGES, unpack(message_ids))) do
  if record then
    local message_id = message_ids[i]
    local queue, org = split_record(record)
    local all, known_ms = delayed_messages(queue), nil
    known_ms = redis.call('ZSCORE', all, message_id)
    -- Where it is due already, it keeps its time.
    if known_ms and tonumber(known_ms) > now then
      redis.call('ZSCORE', delayed_of_org(queue, org), message_id)
      redis.call('ZSCORE', due_orgs(queue), org)
      redis.call('ZADD', all, due_ms, message_id)
      index_delay(queue, org, message_id, due_ms)
      wake(queue)
    end
  end
end
return #message_ids
