-- Everything up to this minute is dealt with; it never goes back.
-- KEYS: seen state
-- ARGV: minute
-- Returns: nothing
local accounted = tonumber(redis.call('HGET', KEYS[2], 'accounted') or 'nil')
if accounted and accounted < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'accounted', ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
end
