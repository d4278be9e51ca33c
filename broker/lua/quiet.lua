-- Has a worker fetch nothing more, or fetch again. What it has leased it runs.
-- KEYS: base
-- DERIVED: base:workers, base:quiet
-- ARGV: worker_id on; on is 1 or 0
-- Returns: 1; 0 where the worker is not known, or was not quiet
-- NEEDS: keys
local worker_id, on = ARGV[1], ARGV[2] ~= '0'
if not on then
  return redis.call('SREM', QUIET_WORKERS, worker_id)
end
if not redis.call('ZSCORE', WORKERS, worker_id) then
  return 0
end
redis.call('SADD', QUIET_WORKERS, worker_id)
return 1
