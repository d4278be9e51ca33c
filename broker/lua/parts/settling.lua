-- Lanes that lost messages which were not leased. Included by the operations.

-- What names a lane is set right, and its org's turn where that was its last lane.
local function settle(queue, org, lane)
  local lanes, ready = B .. ':ql:' .. queue .. ':' .. org, B .. ':qr:' .. queue
  local head = redis.call('LINDEX', lane_key(queue, org, lane), 0)
  if head then
    redis.call('ZADD', lanes, 'XX', lane_score(lane, string.match(head, '^(%d+)|')), lane)
    return
  end
  redis.call('ZREM', lanes, lane)
  redis.call('ZREM', B .. ':qs:' .. queue, org .. '\n' .. lane)
  local key = key_of(lane)
  if key then
    redis.call('SREM', B .. ':bk:' .. org .. ':' .. key, queue .. '\n' .. lane)
  end
  if redis.call('EXISTS', lanes) == 1 then
    return
  end
  -- A gate that opens looks at queues with messages only: the org must not wait for it when it comes again.
  redis.call('ZREM', B .. ':qs:' .. queue, org .. '\n')
  local time = redis.call('ZSCORE', ready, org)
  if time then
    redis.call('ZREM', ready, org)
    redis.call('ZADD', B .. ':qv:' .. queue, time, org)
    redis.call('PEXPIRE', B .. ':qv:' .. queue, DAY_MS)
  end
end
