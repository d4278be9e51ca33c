-- Takes a worker off the list that has nothing leased any more.
-- KEYS: base
-- DERIVED: base:workers, base:wi, base:quiet, base:lease:*
-- ARGV: wid
-- Returns: 1 when it was taken off
-- INCLUDE:
if redis.call('EXISTS', B .. ':lease:' .. ARGV[1]) == 1 then
  return 0
end
redis.call('HDEL', B .. ':wi', ARGV[1])
redis.call('SREM', B .. ':quiet', ARGV[1])
return redis.call('ZREM', B .. ':workers', ARGV[1])
