-- Makes a batch of what is parked under a key due now.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:qd:*, base:wake:*, base:pk:*
-- ARGV: key max
-- Returns: how many were checked; 0 when none is left
-- NEEDS: keys values large_messages wakeups
local MAX_RELEASED = 200
local key, max = ARGV[1], tonumber(ARGV[2])
local waiting = parked_under(key)
local message_ids, released = redis.call('SRANDMEMBER', waiting, math.min(max, MAX_RELEASED)), {}
for i = 1, readable(message_ids, 0) do
  local message_id = message_ids[i]
  released[i] = message_id
  local record = redis.call('HGET', MESSAGES, message_id)
  if record then
    local queue = split_record(record)
    redis.call('ZADD', delayed_messages(queue), 'XX', string.format('%.0f', now), message_id)
    wake(queue)
  end
end
if #released > 0 then
  redis.call('SREM', waiting, unpack(released))
end
return #released
