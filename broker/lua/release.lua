-- Makes a batch of what is parked under a key due now.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:qd:*, base:qn:*, base:qo:*, base:wake:*, base:pk:*
-- ARGV: key max
-- Returns: how many were checked; 0 when none is left
-- NEEDS: keys values large_messages wakeups delays
local MAX_RELEASED = 100
local key, max = ARGV[1], tonumber(ARGV[2])
local waiting, due_ms = parked_under(key), string.format('%.0f', now)
local message_ids, released = redis.call('SRANDMEMBER', waiting, math.min(max, MAX_RELEASED)), {}
for i = 1, readable(message_ids, 0) do
  local message_id = message_ids[i]
  released[i] = message_id
  local record = redis.call('HGET', MESSAGES, message_id)
  if record then
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
if #released > 0 then
  redis.call('SREM', waiting, unpack(released))
end
return #released
