-- Remembers that a tick was sent, and forgets those older than the window.
-- KEYS: seen
-- ARGV: minute window_ms
-- Returns: nothing
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', ARGV[1] - ARGV[2] / 60000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
