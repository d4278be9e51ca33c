-- Keeps the last line of each of some messages, unless one of a later turn is kept.
-- KEYS: lines
-- DERIVED: lines:<message id>, one hash a message
-- ARGV: keep_for_ms line...
--   line: a JSON object of texts, with `message_id` and `turn`
-- WHEN FULL: refused
-- Returns: how many were kept

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = 0
for i = 2, #ARGV do
  local line = cjson.decode(ARGV[i])
  local key = KEYS[1] .. ':' .. line.message_id
  if tonumber(redis.call('HGET', key, 'turn') or 0) <= tonumber(line.turn) then
    redis.call('DEL', key)
    for name, value in pairs(line) do
      redis.call('HSET', key, name, value)
    end
    redis.call('HSET', key, 'updated_at_ms', string.format('%.0f', now_ms))
    redis.call('PEXPIRE', key, ARGV[1])
    kept = kept + 1
  end
end
return kept
