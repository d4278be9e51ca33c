-- Gives a claim back, so that any message may claim the key; not when it is done or under another token.
-- KEYS: claim
-- ARGV: token
-- Returns: 1 when it was given back, 0 when it was not this token's to give
local known = redis.call('HMGET', KEYS[1], 'state', 'token')
if known[1] ~= 'held' or known[2] ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
