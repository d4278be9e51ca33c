-- Marks the work of a claim as done, if the claim still is under the token. Doing it again changes nothing.
-- KEYS: claim
-- ARGV: token ttl_ms
-- Returns: 1 when it is done, 0 when the claim is not under this token
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'state', 'done')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
