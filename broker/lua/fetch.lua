-- Ends leases as `finish` does, makes due what was delayed, and leases what is next by fair share.
-- KEYS: base
-- DERIVED: base:m, base:n, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:wake:*, base:avg,
--          base:w, base:workers, base:lease:*, base:xq:*, base:xm:*, base:seq
-- ARGV: wid silent_ms dead_ttl_ms count, then count records (parts/finish.lua), then queue room
-- Returns: {refused, new, due_ms, then for each: mid token record}; due_ms is how long until the next
--          delayed message, -1 when there is none
-- INCLUDE: lanes finish leases delayed picking
local wid, room, queue = ARGV[1], tonumber(ARGV[#ARGV]), ARGV[#ARGV - 1]
local fresh = beat(wid)
local stale = finish(wid, tonumber(ARGV[3]), 5, tonumber(ARGV[4]))
reclaim(tonumber(ARGV[2]))
promote(queue, 100)

local reply = {stale, fresh, 0}
pick(queue, wid, room, reply)
reply[3] = next_due(queue)
if redis.call('EXISTS', B .. ':qr:' .. queue) == 1 then
  wake(queue)
else
  redis.call('DEL', B .. ':wake:' .. queue)
end
return reply
