-- Forgets dead letters that are in the store.
--
-- KEYS: base
-- DERIVED: <base>:waiting (hash id -> letter), <base>:due (id by the time from which it may be claimed)
-- ARGV: ids
-- Returns: how many were there.

redis.call('ZREM', KEYS[1] .. ':due', unpack(ARGV))
return redis.call('HDEL', KEYS[1] .. ':waiting', unpack(ARGV))
