-- Drops those of a portion of a queue's messages that fit and stand in no lane, or counts them.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:d, base:p, base:pn, base:pk:*, base:qd:*, base:qx:*
-- ARGV: set queue org actor sent_before_ms dry from_ms skip most, then states: delayed, parked, held, suspect; the set is
--       qd for the first three, qx for the last; the org `|` and an empty actor mean any; sent_before_ms is 'inf' for all;
--       so many due at from_ms were looked at and are still there
-- Returns: {how many were dropped or would be, how many were looked at, from_ms and skip of the next portion}
-- INCLUDE: lanes putting inspection dropping
local set, queue, only, actor, sent_before, dry = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6] == '1'
local from, skip, most, states = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), {}
for i = 10, #ARGV do
  states[ARGV[i]] = true
end

local function state_of(mid)
  if set == 'qx' then
    return 'suspect'
  end
  local parked = redis.call('HGET', B .. ':p', mid)
  if not parked then
    return 'delayed'
  end
  local kind = kind_of(string.match(parked, '^([^\n]*)\n(.*)$'))
  return (kind == 'version' or kind == 'actor') and 'held' or 'parked'
end

-- The last of that name is the message's own: what comes before it may be in its payload.
local function is_old(record)
  local sent_ms = sent_before == 'inf' or string.match(record, '.*"message_timestamp":%s*(%d+)')
  return sent_ms == true or (sent_ms and tonumber(sent_ms) < tonumber(sent_before))
end

local function fits(mid, record, org, lane)
  return (only == ANY_ORG or org == only) and (actor == '' or actor_of(lane) == actor) and states[state_of(mid)]
    and is_old(record)
end

local aside = B .. ':' .. set .. ':' .. queue
local due = redis.call('ZRANGEBYSCORE', aside, from, '+inf', 'WITHSCORES', 'LIMIT', skip, most)
local dropped = 0
for i = 1, #due, 2 do
  local mid = due[i]
  local record = redis.call('HGET', B .. ':m', mid)
  local _, org, lane = header(record or '\n\n\n')
  local goes = record and fits(mid, record, org, lane)
  if goes then
    dropped = dropped + 1
  end
  if goes and not dry then
    redis.call('ZREM', aside, mid)
    drop(queue, {mid})
  else
    skip = due[i + 1] == from and skip + 1 or 1
    from = due[i + 1]
  end
end
return {dropped, #due / 2, from, skip}
