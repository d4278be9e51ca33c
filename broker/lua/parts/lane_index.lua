-- Lanes that lost messages which were not leased.
-- NEEDS: keys values

-- What points to a lane is set right, and the turn of its org where that was its last lane.
local function reindex_lane(queue, org, lane)
  local lanes, ready, blocked = org_lanes(queue, org), ready_orgs(queue), blocked_lanes(queue)
  local head = redis.call('LINDEX', lane_key(queue, org, lane), 0)
  if head then
    redis.call('ZADD', lanes, 'XX', lane_score(lane, since_of(head)), lane)
    return
  end
  redis.call('ZREM', lanes, lane)
  redis.call('ZREM', blocked, pair(org, lane))
  local key = concurrency_of(lane)
  if key then
    redis.call('SREM', key_waiters(org, key), pair(queue, lane))
  end
  if redis.call('EXISTS', lanes) == 1 then
    return
  end
  -- A gate that opens checks queues with messages only: the org must not wait for it when it comes again.
  redis.call('ZREM', blocked, pair(org, ''))
  local time = redis.call('ZSCORE', ready, org)
  if time then
    redis.call('ZREM', ready, org)
    redis.call('ZREM', waiting_since(queue), org)
    redis.call('ZADD', served_ahead(queue), time, org)
    redis.call('PEXPIRE', served_ahead(queue), WEEK_MS)
  end
end
