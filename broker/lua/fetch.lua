-- Ends leases as `finish` does, makes due what was delayed, and leases what is next by fair share.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:qx:*, base:wake:*, base:avg, base:o, base:r, base:t:*, base:g, base:a, base:ak, base:b:*, base:bk:*,
--          base:p, base:pn, base:pk:*, base:d, base:dw:*, base:probe:*, base:workers, base:heard, base:up, base:wi, base:quiet,
--          base:lease:*, base:xq:*, base:xm:*, base:seq
-- ARGV: wid silent_ms dead_ttl_ms count, then count records (parts/finish.lua), then queue room max_active mode;
--       max_active 0 means any number; mode 'share' (suspects are somebody else's), 'any' (this worker may be chosen to
--       run one), 'alone' (it is idle and runs one), 'probe' (it runs nothing else)
-- Returns: {refused, new, quiet, due_ms, suspects, then for each: mid token record}; due_ms is how long until something
--          is due, -1 when nothing is; suspects as in parts/suspects.lua
-- INCLUDE: lanes putting delayed gates shares finish leases picking suspects
local wid, queue, room = ARGV[1], ARGV[#ARGV - 3], tonumber(ARGV[#ARGV - 2])
local max_active, mode = tonumber(ARGV[#ARGV - 1]), ARGV[#ARGV]
local fresh = beat(wid, tonumber(ARGV[2]))
local stale = finish(wid, tonumber(ARGV[3]), 5, tonumber(ARGV[4]))
reclaim(tonumber(ARGV[2]))
promote(queue, 100)

local quiet = is_quiet(wid)
local reply = {stale, fresh, quiet, -1, 0}
local shut = redis.call('EXISTS', B .. ':g') == 1 and shut_until({'q:' .. queue})
if quiet == 0 and not shut and room > 0 then
  if mode == 'alone' or mode == 'probe' then
    pick_alone(queue, wid, reply)
  else
    pick(queue, wid, room, max_active > 0 and max_active, reply)
  end
end
reply[4] = next_due(queue)
if shut then
  reply[4] = shut < NEVER_MS and math.ceil(shut - now) or -1
else
  reply[5] = suspects_of(queue, wid, mode == 'any' or mode == 'alone', 2 * tonumber(ARGV[2]) + 1000)
end
if not shut and redis.call('EXISTS', B .. ':qr:' .. queue) == 1 then
  wake(queue)
else
  redis.call('DEL', B .. ':wake:' .. queue)
end
return reply
