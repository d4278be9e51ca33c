-- Removes a batch of a lane's messages, the oldest first, or counts all that would be.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:p, base:pn, base:pk:*, base:d, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qs:*,
--          base:qn:*, base:qo:*, base:qa:*, base:bk:*
-- ARGV: queue org lane before_ms max dry_run; before_ms is 'inf' for all; dry_run is 1 to remove none
-- Returns: how many were removed, or would be
-- NEEDS: keys values inspection removal lane_index
local queue, org, lane, max, dry_run = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]), ARGV[6] == '1'
local key = lane_key(queue, org, lane)
local old = count_before(key, lane, ARGV[4] == 'inf' and math.huge or lane_score(lane, ARGV[4]))
if dry_run or old == 0 then
  return old
end
local message_ids = {}
for i, entry in ipairs(redis.call('LPOP', key, math.min(old, max))) do
  local _, message_id = split_entry(entry)
  message_ids[i] = message_id
end
reindex_lane(queue, org, lane)
return remove_messages(queue, message_ids)
