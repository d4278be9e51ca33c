-- Whose messages these are, of a worker's leases: as many as a call may read. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:mb
-- ARGV: ids of messages
-- Returns: {how many were read, then for each that is there: message_id queue org lane}
-- NEEDS: keys values large_messages
local number = readable(ARGV, 0)
local reply = {number}
for i = 1, number do
  local record = redis.call('HGET', MESSAGES, ARGV[i])
  if record then
    local queue, org, lane = split_record(record)
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = ARGV[i], queue, org, lane
  end
end
return reply
