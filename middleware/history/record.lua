-- Keeps attempts, lets go of those past their time, and of the oldest beyond the most that are kept.
-- KEYS: newest
-- DERIVED: <base>org:<org> and <base>message:<message_id>, indexes like `newest`; <base>attempt:<id>, a hash
-- ARGV: base keep_ms most, then for each attempt: id member org message_id body over
--   over: 1, or 0 while it runs; one that is known stays as it is, unless it ran and is over now
-- WHEN FULL: refused
-- Returns: how many were new
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local base, keep_ms, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- Members begin with the time of their start in microseconds, so their order is that of the text.
local oldest = string.format('(%016.0f', math.max(0, now_us - keep_ms * 1000))

local function index(key, member)
  redis.call('ZADD', key, 0, member)
  redis.call('ZREMRANGEBYLEX', key, '-', oldest)
  redis.call('PEXPIRE', key, keep_ms)
end

local new = 0
for i = 4, #ARGV, 6 do
  local id, member, org, message, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local running = ARGV[i + 5] == '0'
  local attempt = base .. 'attempt:' .. id
  if redis.call('EXISTS', attempt) == 0 then
    new = new + 1
    redis.call('HSET', attempt, 'body', body, 'org', org, 'message', message)
    if running then
      redis.call('HSET', attempt, 'running', '1')
    end
    redis.call('PEXPIRE', attempt, keep_ms)
    index(KEYS[1], member)
    index(base .. 'message:' .. message, member)
    if org ~= '' then
      index(base .. 'org:' .. org, member)
    end
  elseif not running and redis.call('HDEL', attempt, 'running') == 1 then
    redis.call('HSET', attempt, 'body', body)
  end
end

local over = redis.call('ZCARD', KEYS[1]) - most
if over > 0 then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, over - 1)) do
    local attempt = base .. 'attempt:' .. string.sub(member, 18)
    local known = redis.call('HMGET', attempt, 'org', 'message')
    redis.call('ZREM', KEYS[1], member)
    if known[1] then
      redis.call('ZREM', base .. 'org:' .. known[1], member)
      redis.call('ZREM', base .. 'message:' .. known[2], member)
      redis.call('DEL', attempt)
    end
  end
end
return new
