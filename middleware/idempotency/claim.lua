-- Claims a key for a holder, or says who has it. The same holder takes its own claim over, under the new token.
-- KEYS: claim
-- ARGV: holder token ttl_ms
-- Returns: {state, holder}; state is 'claimed' (yours now), 'held' (another's, in progress) or 'done'
local known = redis.call('HMGET', KEYS[1], 'state', 'holder')
local state, holder = known[1], known[2]
if state == 'done' or (state and holder ~= ARGV[1]) then
  return {state, holder}
end
redis.call('HSET', KEYS[1], 'state', 'held', 'holder', ARGV[1], 'token', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'claimed', ARGV[1]}
