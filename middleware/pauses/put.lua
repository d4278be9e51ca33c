-- Keeps a pause instead of one of the same target, and forgets those that are over.
-- KEYS: kept version
-- ARGV: target body for_ms
--   body: the pause as a JSON object, without its times
--   for_ms: when it ends by itself; 0 for never
-- Returns: the pause with its times, as a JSON object
-- Versions are the server's microseconds, or one more than the last.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local pause = cjson.decode(ARGV[2])
pause.since_ms = now_ms
if tonumber(ARGV[3]) > 0 then
  pause.until_ms = now_ms + ARGV[3]
end
-- Times of 13 digits are written in full: cjson writes up to 14.
local body = cjson.encode(pause)
redis.call('HSET', KEYS[1], ARGV[1], body)
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], string.format('%.0f', math.max(time[1] * 1000000 + time[2], last + 1)))

-- Both keys end with the last pause, or stay when one has no end.
local last_end = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local until_ms = cjson.decode(all[i + 1]).until_ms
  if until_ms and until_ms <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  else
    last_end = math.max(last_end, until_ms or math.huge)
  end
end
for _, key in ipairs(KEYS) do
  if last_end == math.huge then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, string.format('%.0f', last_end))
  end
end
return body
