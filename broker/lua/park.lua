-- Makes messages parked, or due at once. Never refused: they are in, and wait.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:b:*, base:p, base:pn, base:pk:*, base:d,
--          base:skew, base:by, base:qn:*, base:qo:*, base:qw:*, base:qa:*, base:o, base:s:*, base:late
-- ARGV: sender number (parts/senders.lua), then any number of times: message_id enqueue_id delay_ms parked record; parked
--       is "<cause>\n<key>"
-- Returns: {}; {0} for a call that came again too late to know whether it had arrived
-- NEEDS: enqueueing senders
local sender, number = ARGV[1], tonumber(ARGV[2])
local arrived = check_call(sender, number)
if arrived > 0 then
  return arrived == 2 and {0} or {}
end
for at = 3, #ARGV, ENQUEUE_FIELDS do
  enqueue(read_enqueue(at))
end
count_arrivals()
record_call(sender, number)
return {}
