-- How full a queue is, for metrics. Reads only.
-- KEYS: base
-- DERIVED: base:n, base:ql:*, base:qr:*
-- ARGV: queue
-- Returns: {now, how many are not done, since when the oldest waits that may run or nothing}
-- NEEDS: keys inspection
local queue = ARGV[1]
return {now, tonumber(redis.call('HGET', QUEUE_SIZES, queue) or '0'), oldest_since(queue, ANY_ORG)}
