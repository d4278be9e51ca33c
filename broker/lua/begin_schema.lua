-- Gives a server the number of the key schema on which nothing stands yet.
-- KEYS: base
-- DERIVED: base:m, base:n, base:o, base:r, base:g, base:workers, base:schema
-- ARGV: number release
-- Returns: 1, or 0 where something stands already
-- NEEDS: keys
local number, release = tonumber(ARGV[1]), ARGV[2]
if redis.call('EXISTS', MESSAGES, QUEUE_SIZES, ORG_SHARES, START_RATES, GATES, WORKERS, SCHEMA) > 0 then
  return 0
end
redis.call('SET', SCHEMA, string.format('%d %s', number, release))
return 1
