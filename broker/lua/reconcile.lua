-- Gives back what the worker was leased by a fetch whose answer it never got.
-- KEYS: base
-- DERIVED: base:m, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:qx:*, base:qw:*, base:qa:*,
--          base:qy:*, base:t:*, base:a, base:ak, base:b:*, base:bk:*, base:d, base:wake:*, base:lease:*, base:o
-- ARGV: worker_id, then message_id and token of each lease that the worker knows of
-- Returns: how many went back
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
return return_leases(leases, message_ids_and_tokens, kept)
