-- Gives back what the worker was leased by a fetch whose answer it never got.
-- KEYS: base
-- DERIVED: base:m, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:wake:*, base:lease:*
-- ARGV: wid, then the mids that the worker knows of
-- Returns: how many went back
-- INCLUDE: lanes finish leases
local known = {}
for i = 2, #ARGV do
  known[ARGV[i]] = true
end
local lease = B .. ':lease:' .. ARGV[1]
return give_back(lease, redis.call('HGETALL', lease), known)
