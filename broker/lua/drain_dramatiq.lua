-- Moves messages from the head of a list of Dramatiq's own Redis broker into ours. Each is put here before it is
-- taken there, so that a server without memory refuses it where it is.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:b:*, base:p, base:pn, base:pk:*, base:d,
--          base:xq:*, base:xm:*, base:skew, base:by, base:qn:*, base:qo:*, base:qw:*, base:qa:*, base:o;
--          and on the same server, outside of the base, the list and the hash that are named
-- ARGV: list hash queue dead_ttl_ms, then any number of times, in the order of the list: dramatiq_id due_ms message_id
--       enqueue_id record; due_ms is 0 for what is ready, -1 for what is no message and therefore dead; the record is
--       empty where none was found
-- Returns: {moved, dead, gone}; gone is what has an id and no message
-- WHEN FULL: refused
-- NEEDS: enqueueing dead_letters
local list, hash, queue, dead_ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moved, dead, gone = 0, 0, 0
for at = 5, #ARGV, 5 do
  local dramatiq_id, due_ms = ARGV[at], tonumber(ARGV[at + 1])
  local message_id, enqueue_id, record = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  -- What is not at the head any more, a worker there has taken meanwhile.
  if redis.call('LINDEX', list, 0) == dramatiq_id then
    if redis.call('HEXISTS', hash, dramatiq_id) == 0 then
      gone = gone + 1
    elseif record == '' then
      -- It was not there yet when it was read: the next call has it.
      break
    elseif due_ms < 0 then
      import_dead_letter(queue, message_id, enqueue_id, record, now, dead_ttl_ms)
      dead = dead + 1
    else
      enqueue(message_id, enqueue_id, math.max(0, due_ms - now), '', record)
      moved = moved + 1
    end
    redis.call('LPOP', list)
    redis.call('HDEL', hash, dramatiq_id)
  end
end
count_arrivals()
return {moved, dead, gone}
