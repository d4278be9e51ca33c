-- Sets aside what a batch of a queue's ready orgs has of an actor whose gate is blocked: so that those who have something
-- else to run need not wait until fetches have found them all.
-- KEYS: base
-- DERIVED: base:ql:*, base:qr:*, base:qa:*, base:qv:*, base:qs:*, base:qb:*, base:qg:*, base:g, base:skew
-- ARGV: actor queue place max
-- Returns: {how many orgs were looked at, the place of the next batch}
-- NEEDS: keys gates age fair_share lane_order waiting values
local actor, queue, place, max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local until_ms = blocked_until({'a:' .. actor})
if not until_ms then
  return {0, place}
end
local orgs = redis.call('ZRANGE', ready_orgs(queue), place, place + max - 1, 'WITHSCORES')
for i = 1, #orgs, 2 do
  local org, time = orgs[i], orgs[i + 1]
  local lane = redis.call('ZRANGE', org_lanes(queue, org), 0, 0, 'WITHSCORES')[1]
  if lane and actor_of(lane) == actor then
    set_actor_aside(queue, org, actor, until_ms, true)
  end
  local first = first_open(queue, org)
  if first then
    redis.call('ZADD', waiting_since(queue), since_of_first(first), org)
    place = place + 1
  else
    leave_ready(queue, org, time)
  end
end
return {#orgs / 2, place}
