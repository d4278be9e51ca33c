-- Drops a portion of a lane's messages, the oldest first, or counts all that would be.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:p, base:pn, base:pk:*, base:d, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qs:*, base:bk:*
-- ARGV: queue org lane before_ms most dry; before_ms is 'inf' for all; dry is 1 to drop none
-- Returns: how many were dropped, or would be
-- INCLUDE: lanes putting inspection dropping settling
local queue, org, lane, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local before_ms = ARGV[4] == 'inf' and math.huge or tonumber(ARGV[4])
local key = lane_key(queue, org, lane)
local old = count_before(key, lane, before_ms == math.huge and math.huge or lane_score(lane, before_ms))
if ARGV[6] == '1' or old == 0 then
  return old
end
local mids = redis.call('LPOP', key, math.min(old, most))
for i, entry in ipairs(mids) do
  mids[i] = string.match(entry, '^%d+|(.*)$')
end
settle(queue, org, lane)
return drop(queue, mids)
