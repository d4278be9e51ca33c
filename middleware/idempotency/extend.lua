-- Lets a claim last from now on for another time, if it still is under the token.
-- KEYS: claim
-- ARGV: token ttl_ms
-- Returns: 1 when it is, 0 when it is not
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
