-- Puts back what a silent worker of Dramatiq's own Redis broker holds, as that broker's maintenance would.
-- KEYS: base
-- DERIVED: on the same server, outside of the base, the keys that are named
-- ARGV: heartbeats held list hash worker_id silent_ms max
-- Returns: how many were put back
-- NEEDS:
local heartbeats, held, list, hash, worker_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local silent_ms, max = tonumber(ARGV[6]), ARGV[7]
local heartbeat_ms = redis.call('ZSCORE', heartbeats, worker_id)
if heartbeat_ms and tonumber(heartbeat_ms) > now - silent_ms then
  return 0
end
local back = 0
for _, dramatiq_id in ipairs(redis.call('SRANDMEMBER', held, max)) do
  if redis.call('HEXISTS', hash, dramatiq_id) == 1 then
    redis.call('LPUSH', list, dramatiq_id)
    back = back + 1
  end
  redis.call('SREM', held, dramatiq_id)
end
return back
