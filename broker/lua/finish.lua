-- Ends leases, says that the worker lives, and looks after one worker that does not.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:qx:*, base:wake:*, base:avg, base:o, base:t:*, base:a, base:ak, base:b:*, base:bk:*, base:p, base:pn,
--          base:pk:*, base:d, base:dw:*, base:workers, base:heard, base:up, base:wi, base:quiet, base:lease:*, base:xq:*, base:xm:*
-- ARGV: wid silent_ms dead_ttl_ms count, then count records (parts/finish.lua)
-- Returns: {refused, new, quiet, back}: how many leases were not the worker's any more; 1 when the worker was not on the
--          list; 1 when it is to fetch nothing; how many messages came back from a worker that does not live
-- INCLUDE: lanes putting shares finish leases
local fresh = beat(ARGV[1], tonumber(ARGV[2]))
local stale = finish(ARGV[1], tonumber(ARGV[3]), 5, tonumber(ARGV[4]))
local back = reclaim(tonumber(ARGV[2]))
return {stale, fresh, is_quiet(ARGV[1]), back}
