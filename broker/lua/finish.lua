-- Ends leases, records that the worker lives, makes due what was delayed, and reclaims the leases of one worker that does
-- not live.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:avg, base:o, base:t:*, base:a, base:aq,
--          base:ak, base:b:*, base:bz:*, base:p, base:pn, base:pk:*, base:d, base:dw:*, base:workers, base:heard,
--          base:up, base:wi, base:quiet, base:lease:*, base:xq:*, base:xm:*, base:skew, base:by, base:qn:*,
--          base:qo:*, base:qw:*, base:qa:*, base:qy:*, base:qb:*, base:qg:*, base:g
-- ARGV: worker_id silent_ms dead_ttl_ms count, then count records (parts/finish.lua), then queues whose due messages are
--       made ready, and how many queues
-- Returns: {refused, new, quiet, back}: how many leases were not the worker's any more; 1 when the worker was not on the
--          list; 1 when it is to fetch nothing; how many messages came back from a worker that does not live
-- NEEDS: workers finish lost_leases delayed
local worker_id, silent_ms, dead_ttl_ms, ends = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local is_new = record_heartbeat(worker_id, silent_ms)
local refused = finish(worker_id, dead_ttl_ms, 5, ends)
local back = reclaim(silent_ms)
for at = #ARGV - tonumber(ARGV[#ARGV]), #ARGV - 1 do
  promote_without_fetch(ARGV[at])
end
return {refused, is_new, is_quiet(worker_id), back}
