-- A batch of a queue's messages that stand in no lane, the next due first. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:qd:*, base:qx:*, base:p, base:skew
-- ARGV: set queue org start count; the set is qd for what is delayed or parked, qx for suspects; the org `|` means all
-- Returns: {how many were checked, then for each that matches: message_id due_ms org lane parked}
-- NEEDS: keys values inspection large_messages
local set, queue, only_org, start, number = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local aside = set == 'qx' and suspect_messages(queue) or delayed_messages(queue)
local due = redis.call('ZRANGE', aside, start, start + number - 1, 'WITHSCORES')
local message_ids = {}
for i = 1, #due, 2 do
  message_ids[#message_ids + 1] = due[i]
end
local reply = {readable(message_ids, 0)}
for i = 1, 2 * reply[1], 2 do
  local message_id, due_ms = due[i], due[i + 1]
  local record = redis.call('HGET', MESSAGES, message_id)
  local _, org, lane = split_record(record)
  if record and (only_org == ANY_ORG or org == only_org) then
    local n, shown_ms = #reply, set == 'qx' and due_ms or due_by_clock(due_ms)
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = message_id, shown_ms, org or '', lane or ''
    reply[n + 5] = redis.call('HGET', PARKED_CAUSES, message_id) or ''
  end
end
return reply
