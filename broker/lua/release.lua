-- Makes a portion of what is parked under a key due now.
-- KEYS: base
-- DERIVED: base:m, base:qd:*, base:pk:*, base:wake:*
-- ARGV: key most
-- Returns: how many were looked at; 0 when none is left
-- INCLUDE: lanes
local index, released = B .. ':pk:' .. ARGV[1], redis.call('SPOP', B .. ':pk:' .. ARGV[1], ARGV[2])
for _, mid in ipairs(released) do
  local record = redis.call('HGET', B .. ':m', mid)
  if record then
    local queue = header(record)
    redis.call('ZADD', B .. ':qd:' .. queue, 'XX', string.format('%.0f', now), mid)
    wake(queue)
  end
end
return #released
