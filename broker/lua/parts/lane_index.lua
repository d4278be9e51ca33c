-- Lanes that lost messages which were not leased.
-- NEEDS: keys values fair_share lane_order waiting

-- So many of an org's lanes are looked at, to find one of an actor.
local MAX_SEARCHED_LANES = 100

local function has_lane_of(queue, org, actor)
  if redis.call('EXISTS', actor_lanes(queue, org, actor)) == 1 then
    return true
  end
  for _, lane in ipairs(redis.call('ZRANGE', org_lanes(queue, org), 0, MAX_SEARCHED_LANES - 1)) do
    if actor_of(lane) == actor then
      return true
    end
  end
  return false
end

-- What points to a lane is set right, and the turn of its org where that was its last lane that may run. Returns whether
-- anything is left in it.
local function reindex_lane(queue, org, lane)
  local lanes, ready = org_lanes(queue, org), ready_orgs(queue)
  local head = redis.call('LINDEX', lane_key(queue, org, lane), 0)
  if head then
    local score = lane_score(lane, since_of(head))
    reorder_lane(queue, org, lane, score)
    return true
  end
  drop_lane(queue, org, lane)
  local key, actor = concurrency_of(lane), actor_of(lane)
  if key then
    redis.call('ZREM', key_waiters(org, key), pair(queue, lane))
  end
  if not has_lane_of(queue, org, actor) then
    forget_actor(queue, org, actor)
  end
  if first_open(queue, org) then
    return false
  end
  if redis.call('EXISTS', lanes) == 0 then
    -- A gate that opens, or a slot that is free, looks for what is there: the org must not wait when it comes again.
    redis.call('ZREM', blocked_lanes(queue), pair(org, ''))
    redis.call('SREM', org_waiters(org), pair(queue, ''))
  end
  local time = redis.call('ZSCORE', ready, org)
  if time then
    leave_ready(queue, org, time)
  end
  return false
end
