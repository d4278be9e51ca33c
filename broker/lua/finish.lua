-- Ends leases, says that the worker lives, and looks after one worker that does not.
-- KEYS: base
-- DERIVED: base:m, base:n, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:wake:*, base:avg,
--          base:w, base:workers, base:lease:*, base:xq:*, base:xm:*
-- ARGV: wid silent_ms dead_ttl_ms count, then count records (parts/finish.lua)
-- Returns: {refused, new}: how many leases were not the worker's any more; 1 when the worker was not on the list
-- INCLUDE: lanes finish leases
local fresh = beat(ARGV[1])
local stale = finish(ARGV[1], tonumber(ARGV[3]), 5, tonumber(ARGV[4]))
reclaim(tonumber(ARGV[2]))
return {stale, fresh}
