-- Publishes what a worker that lives is and serves.
-- KEYS: base
-- DERIVED: base:workers, base:wi
-- ARGV: worker_id description
-- Returns: 1, or 0 where the worker is not on the list
-- NEEDS: keys
local worker_id, description = ARGV[1], ARGV[2]
if not redis.call('ZSCORE', WORKERS, worker_id) then
  return 0
end
redis.call('HSET', WORKER_INFO, worker_id, description)
return 1
