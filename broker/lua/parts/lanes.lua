-- Where ready messages stand: lanes (org, actor, priority, concurrency key) inside orgs inside a queue.
-- NEEDS: keys values age fair_share lane_order wakeups

local function append_to_lane(queue, org, lane, message_id, since_ms)
  if redis.call('RPUSH', lane_key(queue, org, lane), string.format('%.0f|%s', since_ms, message_id)) == 1
    and order_lane(queue, org, lane, lane_score(lane, since_ms)) then
    join_ready(queue, org, since_ms)
  end
end

-- Several at once, each as "<since ms>|<message id>".
local function append_entries(queue, org, lane, entries)
  local since_ms = since_of(entries[1])
  if redis.call('RPUSH', lane_key(queue, org, lane), unpack(entries)) == #entries
    and order_lane(queue, org, lane, lane_score(lane, since_ms)) then
    join_ready(queue, org, since_ms)
  end
end

local function prepend_to_lane(queue, org, lane, message_id, since_ms)
  if redis.call('LPUSH', lane_key(queue, org, lane), since_ms .. '|' .. message_id) > 1 then
    redis.call('ZSCORE', org_lanes(queue, org), lane)
  end
  if order_lane(queue, org, lane, lane_score(lane, since_ms)) then
    join_ready(queue, org, since_ms)
  end
end

-- What had left the ready set may run again: an org (an empty name), an actor of it, or a lane. Who had to wait for a
-- slot of its own had work all the time.
local function readmit(queue, org, name, had_to_wait)
  if is_lane(name) then
    local head = redis.call('LINDEX', lane_key(queue, org, name), 0)
    if head then
      order_lane(queue, org, name, lane_score(name, since_of(head)))
    end
  elseif name ~= '' then
    unhold_actor(queue, org, name)
  end
  local first = first_open(queue, org)
  if first then
    join_ready(queue, org, since_of_first(first), had_to_wait)
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
      readmit(queue, org, '', true)
    end
  end
end
