-- Ends leases as `finish` does, makes due what was delayed, and leases what is next by fair share.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qb:*, base:qg:*, base:qx:*, base:wake:*, base:avg, base:o, base:r,
--          base:t:*, base:g, base:a, base:aq, base:ak, base:b:*, base:bz:*, base:p, base:pn, base:pk:*, base:d,
--          base:dw:*, base:probe:*, base:workers, base:heard, base:up, base:wi, base:quiet, base:lease:*, base:xq:*,
--          base:xm:*, base:seq, base:skew, base:xs:*, base:by, base:qn:*, base:qo:*, base:qw:*, base:qa:*, base:qy:*
-- ARGV: worker_id silent_ms dead_ttl_ms count, then count records (parts/finish.lua), then queue room room_bytes
--       max_active age_share mode; no more bytes are leased but for the first message; max_active 0 means any number;
--       age_share is the part of the work that goes by age, less than 1; mode 'share' (suspects are somebody else's), 'any' (this worker may be chosen to run one), 'alone' (it is idle and runs one)
-- Returns: {refused, new, quiet, due_ms, suspects, then for each: message_id token record}; due_ms until something is due
--          or 0 when there was more to do, -1 when nothing is; suspects as in parts/suspects.lua
-- NEEDS: keys budget wakeups gates delayed workers finish lost_leases selection dispatch suspects
local worker_id, silent_ms, dead_ttl_ms, ends = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local queue, room, room_bytes = ARGV[#ARGV - 5], tonumber(ARGV[#ARGV - 4]), tonumber(ARGV[#ARGV - 3])
local max_active, age_share, mode = tonumber(ARGV[#ARGV - 2]), tonumber(ARGV[#ARGV - 1]), ARGV[#ARGV]
local is_new = record_heartbeat(worker_id, silent_ms)
local refused = finish(worker_id, dead_ttl_ms, 5, ends)
reclaim(silent_ms)
promote(queue)

local quiet = is_quiet(worker_id)
local reply = {refused, is_new, quiet, -1, 0}
local until_ms = redis.call('EXISTS', GATES) == 1 and blocked_until({'q:' .. queue})
if quiet == 0 and not until_ms and room > 0 then
  if mode == 'alone' or mode == 'probe' then
    lease_suspect(queue, worker_id, reply)
  else
    lease_next(queue, worker_id, room, room_bytes, max_active > 0 and max_active, age_share, reply)
  end
end
-- Where a call has done what it may, the next one goes on.
reply[4] = commands_left < COMMANDS_OF_LANE and 0 or next_due_ms(queue)
if until_ms then
  reply[4] = until_ms < NEVER_MS and math.ceil(until_ms - now) or -1
else
  reply[5] = check_suspects(queue, worker_id, mode == 'any' or mode == 'alone', 2 * silent_ms + 1000)
  reply[4] = search_again_ms(queue, reply[4])
end
if not until_ms and redis.call('EXISTS', ready_orgs(queue)) == 1 then
  wake(queue)
else
  redis.call('DEL', wake_tokens(queue))
end
return reply
