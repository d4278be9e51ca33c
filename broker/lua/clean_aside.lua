-- Removes those of a batch of a queue's messages that match and stand in no lane, or counts them.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:qd:*, base:qx:*, base:p, base:pn, base:pk:*, base:d, base:by,
--          base:qn:*, base:qo:*
-- ARGV: set queue org actor sent_before_ms dry_run from_ms skip max, then states: delayed, parked, held, suspect; the set
--       is qd for the first three, qx for the last; the org `|` and an empty actor mean any; sent_before_ms is 'inf' for
--       all; so many due at from_ms were checked and are still there
-- Returns: {how many were removed or would be, how many were checked, from_ms and skip of the next batch}
-- NEEDS: keys values parking inspection removal large_messages
local set, queue, only_org, actor, sent_before_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local dry_run, from_ms, skip, max, states = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), {}
for i = 10, #ARGV do
  states[ARGV[i]] = true
end

local function state_of(message_id)
  if set == 'qx' then
    return 'suspect'
  end
  local parked = redis.call('HGET', PARKED_CAUSES, message_id)
  if not parked then
    return 'delayed'
  end
  local cause, key = split_pair(parked)
  local kind = parked_kind(cause, key)
  return (kind == 'version' or kind == 'actor') and 'held' or 'parked'
end

-- The last of that name is the message's own: what comes before it may be in its payload.
local function is_old(record)
  if sent_before_ms == 'inf' then
    return true
  end
  local sent_ms = string.match(record, '.*"message_timestamp":%s*(%d+)')
  return sent_ms and tonumber(sent_ms) < tonumber(sent_before_ms)
end

local function matches(message_id, record)
  local _, org, lane = split_record(record)
  return (only_org == ANY_ORG or org == only_org) and (actor == '' or actor_of(lane) == actor)
    and states[state_of(message_id)] and is_old(record)
end

local aside = set == 'qx' and suspect_messages(queue) or delayed_messages(queue)
local due = redis.call('ZRANGEBYSCORE', aside, from_ms, '+inf', 'WITHSCORES', 'LIMIT', skip, max)
local removed, message_ids = 0, {}
for i = 1, #due, 2 do
  message_ids[#message_ids + 1] = due[i]
end
local number = readable(message_ids, 0)
for i = 1, 2 * number, 2 do
  local message_id, due_ms = due[i], due[i + 1]
  local record = redis.call('HGET', MESSAGES, message_id)
  local is_match = record and matches(message_id, record)
  if is_match then
    removed = removed + 1
  end
  if is_match and not dry_run then
    redis.call('ZREM', aside, message_id)
    remove_message(queue, message_id, record)
  else
    skip = due_ms == from_ms and skip + 1 or 1
    from_ms = due_ms
  end
end
return {removed, number, from_ms, skip}
