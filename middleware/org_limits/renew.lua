-- Lets slots of one org last for another lease, those that still are under their tokens.
-- KEYS: slots record
-- DERIVED: slots:<concurrency key>; the records of the other messages, beside the given one
-- ARGV: lease_ms keep_ms, then for each slot: message_id token concurrency_key; the first's record is the key
-- Returns: the tokens whose slots are lost
local lease, keep = tonumber(ARGV[1]), ARGV[2]
local slots = KEYS[1]
local records = string.sub(KEYS[2], 1, #KEYS[2] - #ARGV[3])
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + time[2] / 1000 + lease

local lost = {}
for i = 3, #ARGV, 3 do
  local id, token, key = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('HGET', records .. id, 'token') == token and redis.call('ZSCORE', slots, id) then
    redis.call('ZADD', slots, until_ms, id)
    redis.call('PEXPIRE', slots, keep)
    redis.call('PEXPIRE', records .. id, keep)
    if key ~= '' then
      redis.call('ZADD', slots .. ':' .. key, until_ms, id)
      redis.call('PEXPIRE', slots .. ':' .. key, keep)
    end
  else
    lost[#lost + 1] = token
  end
end
return lost
