-- Records that a worker was asked to stop: whatever ends it now, its messages are not to blame.
-- KEYS: base
-- DERIVED: base:dw:*
-- ARGV: worker_id
-- Returns: nothing
-- NEEDS: keys
local MINUTE_MS = 60 * 1000
redis.call('SET', worker_end(ARGV[1]), 'stopped', 'PX', 10 * MINUTE_MS)
