-- Where ready messages stand: lanes (org, actor, priority, concurrency key) inside orgs inside a queue.
-- NEEDS: keys values age fair_share wakeups

local function append_to_lane(queue, org, lane, message_id, since_ms)
  if redis.call('RPUSH', lane_key(queue, org, lane), string.format('%.0f|%s', since_ms, message_id)) == 1 then
    redis.call('ZADD', org_lanes(queue, org), lane_score(lane, since_ms), lane)
    join_ready(queue, org, since_ms)
  end
end

-- Several at once, each as "<since ms>|<message id>".
local function append_entries(queue, org, lane, entries)
  if redis.call('RPUSH', lane_key(queue, org, lane), unpack(entries)) == #entries then
    redis.call('ZADD', org_lanes(queue, org), lane_score(lane, since_of(entries[1])), lane)
    join_ready(queue, org, since_of(entries[1]))
  end
end

local function prepend_to_lane(queue, org, lane, message_id, since_ms)
  redis.call('LPUSH', lane_key(queue, org, lane), since_ms .. '|' .. message_id)
  redis.call('ZADD', org_lanes(queue, org), lane_score(lane, since_ms), lane)
  join_ready(queue, org, since_ms)
end

-- A lane, or for an empty name an org, that had left the ready set may run again. Who had to wait for a slot of its own
-- had work all the time.
local function readmit(queue, org, lane, had_to_wait)
  if lane ~= '' then
    local head = redis.call('LINDEX', lane_key(queue, org, lane), 0)
    if head then
      redis.call('ZADD', org_lanes(queue, org), lane_score(lane, since_of(head)), lane)
    end
  end
  local first = redis.call('ZRANGE', org_lanes(queue, org), 0, 0, 'WITHSCORES')
  if first[1] then
    local since_ms = since_of_first(first)
    join_ready(queue, org, since_ms, had_to_wait)
    wake(queue)
  end
end

-- All who waited for a slot that is free now: of an org, or of one of its concurrency keys.
local function readmit_all(waiters, org)
  local all = redis.call('SMEMBERS', waiters)
  if #all > 0 then
    redis.call('DEL', waiters)
    for _, waiter in ipairs(all) do
      local queue, lane = split_pair(waiter)
      readmit(queue, org, lane, true)
    end
  end
end
