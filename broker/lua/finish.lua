-- Ends leases, records that the worker lives, makes due what was delayed, and reclaims the leases of one worker that does
-- not live.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*,
--          base:qs:*, base:qx:*, base:wake:*, base:avg, base:o, base:t:*, base:a, base:ak, base:b:*, base:bk:*, base:p,
--          base:pn, base:pk:*, base:d, base:dw:*, base:workers, base:heard, base:up, base:wi, base:quiet, base:qw:*,
--          base:qn:*, base:qo:*, base:lease:*, base:xq:*, base:xm:*
-- ARGV: worker_id silent_ms dead_ttl_ms count, then count queues of which nothing was fetched for long, then count, then
--       count records (parts/finish.lua)
-- Returns: {refused, new, quiet, back}: how many leases were not the worker's any more; 1 when the worker was not on the
--          list; 1 when it is to fetch nothing; how many messages came back from a worker that does not live
-- NEEDS: workers finish lost_leases delayed
local worker_id, silent_ms, dead_ttl_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local queues, at = {}, 5 + ARGV[4]
for i = 5, at - 1 do
  queues[#queues + 1] = ARGV[i]
end
local is_new = record_heartbeat(worker_id, silent_ms)
local refused = finish(worker_id, dead_ttl_ms, at + 1, tonumber(ARGV[at]))
local back = reclaim(silent_ms)
promote_all(queues)
return {refused, is_new, is_quiet(worker_id), back}
