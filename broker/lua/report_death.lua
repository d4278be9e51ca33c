-- A supervisor saw a worker end: what it had leased comes back at once, counted as a crash unless it was stopped.
-- KEYS: base
-- DERIVED: base:workers, base:dw:*
-- ARGV: worker_id what; what is 'stopped', or what ended it
-- Returns: 1 when it was on the list
-- NEEDS: keys
local MINUTE_MS = 60 * 1000
local worker_id, what = ARGV[1], ARGV[2]
redis.call('SET', worker_end(worker_id), what, 'PX', 10 * MINUTE_MS)
-- The next fetch or heartbeat of anybody finds it silent.
return redis.call('ZADD', WORKERS, 'XX', 'CH', 0, worker_id)
