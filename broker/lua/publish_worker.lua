-- Says what a worker that lives is and serves.
-- KEYS: base
-- DERIVED: base:workers, base:wi
-- ARGV: wid description
-- Returns: 1, or 0 where the worker is not on the list
-- INCLUDE:
if not redis.call('ZSCORE', B .. ':workers', ARGV[1]) then
  return 0
end
redis.call('HSET', B .. ':wi', ARGV[1], ARGV[2])
return 1
