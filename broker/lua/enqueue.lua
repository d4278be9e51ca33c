-- Makes messages ready, or delayed. All or nothing: it writes only after everything was read.
-- KEYS: base
-- DERIVED: base:m, base:n, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:wake:*
-- ARGV: any number of times: mid delay_ms record
-- Returns: nothing
-- INCLUDE: lanes
for i = 1, #ARGV, 3 do
  put(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2])
end
