-- Has a worker fetch nothing more, or fetch again. What it has in hand it runs.
-- KEYS: base
-- DERIVED: base:workers, base:quiet
-- ARGV: wid on; on is 1 or 0
-- Returns: 1; 0 where the worker is not known, or was not quiet
-- INCLUDE:
if ARGV[2] == '0' then
  return redis.call('SREM', B .. ':quiet', ARGV[1])
end
if not redis.call('ZSCORE', B .. ':workers', ARGV[1]) then
  return 0
end
redis.call('SADD', B .. ':quiet', ARGV[1])
return 1
