-- How full a queue is, for metrics. Reads only.
-- KEYS: base
-- DERIVED: base:n, base:ql:*, base:qr:*
-- ARGV: queue
-- Returns: {now, how many are not done, since when the oldest waits that may run or nothing}
-- INCLUDE: lanes inspection
return {now, tonumber(redis.call('HGET', B .. ':n', ARGV[1]) or '0'), oldest(ARGV[1], ANY_ORG)}
