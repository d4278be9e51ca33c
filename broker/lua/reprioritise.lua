-- Gives a waiting message another priority: one that is due goes to the lane of that, by its age.
-- KEYS: base
-- DERIVED: base:m, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:qb:*, base:qg:*, base:qx:*, base:wake:*, base:b:*, base:bz:*, base:by, base:qw:*, base:qa:*, base:o
-- ARGV: message_id old_record new_record entry; entry is where it stands in its lane, as "<since ms>|<message id>", or
--       empty
-- Returns: 1 when it was done; 0 when the message is not as it was, or not there any more
-- NEEDS: keys values wakeups age fair_share inspection lane_order lane_index sizes
local message_id, old_record, new_record, entry = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', MESSAGES, message_id) ~= old_record then
  return 0
end
local function store()
  redis.call('HSET', MESSAGES, message_id, new_record)
  local queue, org = split_record(old_record)
  local bytes = {}
  tally_bytes(bytes, queue, org, counted_bytes(new_record) - counted_bytes(old_record))
  write_bytes(bytes, {})
end

local queue, org, old = split_record(old_record)
local _, _, new = split_record(new_record)
if redis.call('ZSCORE', delayed_messages(queue), message_id)
  or redis.call('ZSCORE', suspect_messages(queue), message_id) then
  store()
  return 1
end
if entry == '' or redis.call('LREM', lane_key(queue, org, old), 1, entry) == 0 then
  return 0
end
store()

local key = lane_key(queue, org, new)
local index = count_before(key, new, lane_score(new, since_of(entry)))
local following = redis.call('LINDEX', key, index)
if not following then
  redis.call('RPUSH', key, entry)
else
  redis.call('LINSERT', key, 'BEFORE', following, entry)
end
local head = redis.call('LINDEX', key, 0)
local score = lane_score(new, since_of(head))
if index == 0 and not following then
  order_lane(queue, org, new, score)
else
  reorder_lane(queue, org, new, score)
end
local first = first_open(queue, org)
if first then
  join_ready(queue, org, since_of_first(first))
end
reindex_lane(queue, org, old)
wake(queue)
return 1
