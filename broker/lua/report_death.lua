-- A supervisor saw a worker end: what it had leased comes back at once, charged with its death unless it was stopped.
-- KEYS: base
-- DERIVED: base:workers, base:dw:*
-- ARGV: wid what; what is 'stopped', or what ended it
-- Returns: 1 when it was on the list
-- INCLUDE:
local MINUTE_MS = 60 * 1000
redis.call('SET', B .. ':dw:' .. ARGV[1], ARGV[2], 'PX', 10 * MINUTE_MS)
-- The next fetch or beat of anybody finds it silent.
return redis.call('ZADD', B .. ':workers', 'XX', 'CH', 0, ARGV[1])
