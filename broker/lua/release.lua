-- Makes a batch of what is parked under a key due now.
-- KEYS: base
-- DERIVED: base:m, base:qd:*, base:pk:*, base:wake:*
-- ARGV: key max
-- Returns: how many were checked; 0 when none is left
-- NEEDS: keys values wakeups
local key, max = ARGV[1], ARGV[2]
local released = redis.call('SPOP', parked_under(key), max)
for _, message_id in ipairs(released) do
  local record = redis.call('HGET', MESSAGES, message_id)
  if record then
    local queue = split_record(record)
    redis.call('ZADD', delayed_messages(queue), 'XX', string.format('%.0f', now), message_id)
    wake(queue)
  end
end
return #released
