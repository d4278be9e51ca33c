-- Puts back what a silent worker of Dramatiq's own Redis broker holds, as that broker's maintenance would.
-- KEYS: base
-- DERIVED: on the same server, outside of the base, the keys that are named
-- ARGV: heartbeats held list hash worker_id silent_ms most
-- Returns: how many were put back
-- INCLUDE:
local beat_ms = redis.call('ZSCORE', ARGV[1], ARGV[5])
if beat_ms and tonumber(beat_ms) > now - tonumber(ARGV[6]) then
  return 0
end
local back = 0
for _, id in ipairs(redis.call('SRANDMEMBER', ARGV[2], ARGV[7])) do
  if redis.call('HEXISTS', ARGV[4], id) == 1 then
    redis.call('LPUSH', ARGV[3], id)
    back = back + 1
  end
  redis.call('SREM', ARGV[2], id)
end
return back
