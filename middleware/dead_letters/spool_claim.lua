-- Hands out dead letters that nobody holds, and holds them for a while.
--
-- KEYS: base
-- DERIVED: <base>:waiting (hash id -> letter), <base>:due (id by the time from which it may be claimed)
-- ARGV: keep_ms limit lease_ms
-- Returns: the letters, the longest waiting first.

local waiting, due = KEYS[1] .. ':waiting', KEYS[1] .. ':due'
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)

local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now_ms, 'LIMIT', 0, ARGV[2])
if #ids == 0 then return {} end

for _, id in ipairs(ids) do redis.call('ZADD', due, now_ms + ARGV[3], id) end
-- As long as somebody tries to move them, letters do not grow old.
redis.call('PEXPIRE', waiting, ARGV[1])
redis.call('PEXPIRE', due, ARGV[1])
return redis.call('HMGET', waiting, unpack(ids))
