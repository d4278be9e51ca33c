#!lua flags=allow-oom
-- Records that a worker lives. One that was taken for dead, or has left, stays so: a late heartbeat must not bring it back.
-- KEYS: base
-- DERIVED: base:workers
-- ARGV: worker_id
-- Returns: 1, or 0 where the worker is not known
local workers = KEYS[1] .. ':workers'
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZADD', workers, 'XX', 'CH', now_ms, ARGV[1]) == 1 then
  return 1
end
-- Nothing changed: unknown, or already heard in this very millisecond.
return redis.call('ZSCORE', workers, ARGV[1]) and 1 or 0
