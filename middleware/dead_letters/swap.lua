-- Replaces a dead letter if it is still the one that was read.
--
-- KEYS: base
-- DERIVED: <base>:entries (hash id -> letter)
-- ARGV: id old new
-- Returns: 1 if it was replaced, 0 if it has changed or is gone.

local entries = KEYS[1] .. ':entries'
if redis.call('HGET', entries, ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', entries, ARGV[1], ARGV[3])
return 1
