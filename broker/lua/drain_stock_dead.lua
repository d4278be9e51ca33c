-- Moves dead letters of Dramatiq's own Redis broker into ours, with the time they died.
-- KEYS: base
-- DERIVED: base:xq:*, base:xm:*; and on the same server, outside of the base, the sorted set and the hash that are named
-- ARGV: set hash queue dead_ttl_ms, then any number of times: stock_id message_id uniq record
-- Returns: how many were moved
-- INCLUDE: dead
local set, hash, queue, dead_ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moved = 0
for at = 5, #ARGV, 4 do
  local id = ARGV[at]
  local since_ms = redis.call('ZSCORE', set, id)
  if since_ms then
    local record = ARGV[at + 3]
    if redis.call('HEXISTS', hash, id) == 1 then
      if record == '' then
        break
      end
      keep_dead(queue, ARGV[at + 1], ARGV[at + 2], record, tonumber(since_ms), dead_ttl_ms)
      moved = moved + 1
    end
    redis.call('ZREM', set, id)
    redis.call('HDEL', hash, id)
  end
end
return moved
