-- Puts dead letters into the spool; one that is there already stays as it is.
--
-- KEYS: base
-- DERIVED: <base>:waiting (hash id -> letter), <base>:due (id by the time from which it may be claimed)
-- ARGV: keep_ms, then for each letter: id letter
-- Returns: how many were new.

local waiting, due = KEYS[1] .. ':waiting', KEYS[1] .. ':due'
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local new = 0

for at = 2, #ARGV, 2 do
  if redis.call('HSETNX', waiting, ARGV[at], ARGV[at + 1]) == 1 then
    redis.call('ZADD', due, now_ms, ARGV[at])
    new = new + 1
  end
end

redis.call('PEXPIRE', waiting, ARGV[1])
redis.call('PEXPIRE', due, ARGV[1])
return new
