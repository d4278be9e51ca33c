-- Moves dead letters of Dramatiq's own Redis broker into ours, with the time they died.
-- KEYS: base
-- DERIVED: base:xq:*, base:xm:*; and on the same server, outside of the base, the sorted set and the hash that are named
-- ARGV: set hash queue dead_ttl_ms, then any number of times: dramatiq_id message_id enqueue_id record
-- Returns: how many were moved
-- WHEN FULL: refused
-- NEEDS: dead_letters
local set, hash, queue, dead_ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moved = 0
for at = 5, #ARGV, 4 do
  local dramatiq_id, message_id, enqueue_id, record = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local since_ms = redis.call('ZSCORE', set, dramatiq_id)
  if since_ms then
    if redis.call('HEXISTS', hash, dramatiq_id) == 1 then
      if record == '' then
        break
      end
      import_dead_letter(queue, message_id, enqueue_id, record, tonumber(since_ms), dead_ttl_ms)
      moved = moved + 1
    end
    redis.call('ZREM', set, dramatiq_id)
    redis.call('HDEL', hash, dramatiq_id)
  end
end
return moved
