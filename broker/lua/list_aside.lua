-- A portion of a queue's messages that stand in no lane, the next due first. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:p, base:qd:*, base:qx:*
-- ARGV: set queue org start count; the set is qd for what is delayed or parked, qx for suspects; the org `|` means all
-- Returns: {how many were looked at, then for each that fits: mid due_ms org lane parked}
-- INCLUDE: lanes inspection
local set, queue, only, start, many = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local due = redis.call('ZRANGE', B .. ':' .. set .. ':' .. queue, start, start + many - 1, 'WITHSCORES')
local reply = {#due / 2}
for i = 1, #due, 2 do
  local record = redis.call('HGET', B .. ':m', due[i])
  local _, org, lane = header(record or '\n\n\n')
  if record and (only == ANY_ORG or org == only) then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = due[i], due[i + 1], org, lane
    reply[n + 5] = redis.call('HGET', B .. ':p', due[i]) or ''
  end
end
return reply
