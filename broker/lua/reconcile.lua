-- Gives back what the worker was leased by a fetch whose answer it never got.
-- KEYS: base
-- DERIVED: base:m, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:qx:*, base:t:*, base:a,
--          base:ak, base:b:*, base:bk:*, base:wake:*, base:lease:*
-- ARGV: wid, then mid and token of each lease that the worker knows of
-- Returns: how many went back
-- INCLUDE: lanes putting shares finish leases
local known = {}
for i = 2, #ARGV, 2 do
  known[ARGV[i]] = ARGV[i + 1]
end
local lease = B .. ':lease:' .. ARGV[1]
local held, keep = redis.call('HGETALL', lease), {}
for i = 1, #held, 2 do
  keep[held[i]] = known[held[i]] == held[i + 1]
end
return give_back(lease, held, keep)
