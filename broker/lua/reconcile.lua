-- Gives back some of what the worker was leased by a fetch whose answer it never got.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*,
--          base:qx:*, base:wake:*, base:t:*, base:a, base:aq, base:ak, base:b:*, base:bz:*, base:d, base:lease:*,
--          base:qw:*, base:qa:*, base:qy:*, base:o
-- ARGV: worker_id, then message_id and token of each lease that the worker knows of
-- Returns: {how many went back, 1 when those were all}
-- NEEDS: keys lost_leases
local worker_id, known, kept = ARGV[1], {}, {}
for i = 2, #ARGV, 2 do
  known[ARGV[i]] = ARGV[i + 1]
end
local leases = lease_key(worker_id)
local message_ids_and_tokens = redis.call('HGETALL', leases)
for i = 1, #message_ids_and_tokens, 2 do
  local message_id, token = message_ids_and_tokens[i], message_ids_and_tokens[i + 1]
  kept[message_id] = known[message_id] == token
end
local returned, was_all = return_leases(leases, message_ids_and_tokens, kept)
return {returned, was_all and 1 or 0}
