-- Makes messages parked, or due at once. Never refused: they are in, and wait.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:b:*, base:p, base:pn, base:pk:*, base:d,
--          base:skew, base:by, base:qn:*, base:qo:*, base:qw:*, base:qa:*, base:o
-- ARGV: any number of times: message_id enqueue_id delay_ms parked record; parked is "<cause>\n<key>"
-- Returns: {}
-- NEEDS: enqueueing
for at = 1, #ARGV, ENQUEUE_FIELDS do
  enqueue(read_enqueue(at))
end
count_arrivals()
return {}
