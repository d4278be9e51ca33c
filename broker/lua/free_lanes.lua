-- Has a batch of a queue's orgs checked again that may wait for the rate of an actor.
-- KEYS: base
-- DERIVED: base:r, base:qs:*, base:wake:*
-- ARGV: actor queue from_ms skip max; the first call has 0 and 0, the others what the one before returned; with an empty
--       queue, the actor is marked no more
-- Returns: {how many were looked at, from_ms and skip of the next batch}
-- NEEDS: keys values gates wakeups
local actor, queue, from_ms, skip, max = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if queue == '' then
  redis.call('HDEL', START_RATES, changed_rate(actor))
  return {0, '0', 0}
end
local blocked, now_text = blocked_lanes(queue), string.format('%.0f', now)
local never = string.format('(%.0f', NEVER_MS)
local found = redis.call('ZRANGEBYSCORE', blocked, from_ms, never, 'WITHSCORES', 'LIMIT', skip, max)
for i = 1, #found, 2 do
  local org_and_actor, until_ms = found[i], found[i + 1]
  local _, waits = split_pair(org_and_actor)
  if waits == actor and tonumber(until_ms) > now then
    redis.call('ZADD', blocked, now_text, org_and_actor)
    wake(queue)
  elseif until_ms == from_ms then
    skip = skip + 1
  else
    from_ms, skip = until_ms, 1
  end
end
return {#found / 2, from_ms, skip}
