-- Gives a waiting message another priority: one that is due goes to the lane of that, by its age.
-- KEYS: base
-- DERIVED: base:m, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:qd:*, base:qx:*, base:b:*,
--          base:bk:*, base:wake:*
-- ARGV: mid old_record new_record entry; entry is where it stands in its lane, as "<since ms>|<mid>", or empty
-- Returns: 1 when it was done; 0 when the message is not as it was, or not there any more
-- INCLUDE: lanes inspection settling
local mid, entry = ARGV[1], ARGV[4]
if redis.call('HGET', B .. ':m', mid) ~= ARGV[2] then
  return 0
end
local queue, org, old = header(ARGV[2])
local _, _, new = header(ARGV[3])
if redis.call('ZSCORE', B .. ':qd:' .. queue, mid) or redis.call('ZSCORE', B .. ':qx:' .. queue, mid) then
  redis.call('HSET', B .. ':m', mid, ARGV[3])
  return 1
end
if entry == '' or redis.call('LREM', lane_key(queue, org, old), 1, entry) == 0 then
  return 0
end
redis.call('HSET', B .. ':m', mid, ARGV[3])

local key, since_ms = lane_key(queue, org, new), string.match(entry, '^(%d+)|')
local place = count_before(key, new, lane_score(new, since_ms))
local following = redis.call('LINDEX', key, place)
if not following then
  redis.call('RPUSH', key, entry)
else
  redis.call('LINSERT', key, 'BEFORE', following, entry)
end
local is_new = place == 0 and not following
redis.call('ZADD', B .. ':ql:' .. queue .. ':' .. org, is_new and 'NX' or 'XX',
  lane_score(new, string.match(redis.call('LINDEX', key, 0), '^(%d+)|')), new)
join_ready(queue, org)
settle(queue, org, old)
wake(queue)
return 1
