-- Where ready messages stand: lanes (org, actor, priority, concurrency key) inside orgs inside a queue.
-- NEEDS: keys values fair_share lane_order wakeups

local function append_to_lane(queue, org, lane, message_id, since_ms)
  if redis.call('RPUSH', lane_key(queue, org, lane), string.format('%.0f|%s', since_ms, message_id)) == 1
    and order_lane(queue, org, lane, lane_score(lane, since_ms)) then
    join_ready(queue, org)
  end
end

local function prepend_to_lane(queue, org, lane, message_id, since_ms)
  if redis.call('LPUSH', lane_key(queue, org, lane), since_ms .. '|' .. message_id) > 1 then
    redis.call('ZSCORE', org_lanes(queue, org), lane)
  end
  if order_lane(queue, org, lane, lane_score(lane, since_ms)) then
    join_ready(queue, org)
  end
end

-- What had left the ready set may run again: an org (an empty name), an actor of it, or a lane.
local function readmit(queue, org, name)
  if is_lane(name) then
    local head = redis.call('LINDEX', lane_key(queue, org, name), 0)
    if head then
      order_lane(queue, org, name, lane_score(name, since_of(head)))
    end
  elseif name ~= '' then
    unhold_actor(queue, org, name)
  end
  if has_open_lane(queue, org) then
    join_ready(queue, org)
    wake(queue)
  end
end

-- In every queue where the org waited for one of its own leases to end.
local function readmit_org(org)
  local waiters = org_waiters(org)
  local all = redis.call('SMEMBERS', waiters)
  if #all > 0 then
    redis.call('DEL', waiters)
    for _, waiter in ipairs(all) do
      local queue = split_pair(waiter)
      readmit(queue, org, '')
    end
  end
end
