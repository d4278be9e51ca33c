-- Converts a batch of what schema 1 kept of lanes: those set aside one by one are let in, and set aside anew where
-- something still holds them, by actor; those with a concurrency key get an order of their own.
-- KEYS: base
-- DERIVED: base:n, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:wake:*,
--          base:ak, base:b:*, base:bk:*, base:qa:*, base:qw:*, base:o
-- ARGV: cursor max; the cursor is "<step> <place> <rank> <queue>", empty at the start
-- Returns: the next cursor, empty at the end
-- NEEDS: keys values budget lane_order lanes
local max = math.min(tonumber(ARGV[2]), 40)
local step, place, rank, last = string.match(ARGV[1], '^(%a+) (%d+) (%d+) (.*)$')
place, rank = tonumber(place or 0), tonumber(rank or 0)

local function queue_after(name)
  local found = nil
  for _, queue in ipairs(redis.call('HKEYS', QUEUE_SIZES)) do
    if queue > name and (not found or queue < found) then
      found = queue
    end
  end
  return found
end

-- From a place in what is blocked on; what stays there is passed over.
local function let_in_blocked(queue)
  local blocked = blocked_lanes(queue)
  local members = redis.call('ZRANGE', blocked, place, place + max - 1)
  for _, member in ipairs(members) do
    local org, name = split_pair(member)
    if is_lane(name) and org ~= '|' then
      redis.call('ZREM', blocked, member)
      readmit(queue, org, name)
    else
      place = place + 1
    end
  end
  return #members == max
end

local function let_in_waiting()
  local keys = redis.call('HKEYS', LEASED_BY_KEY)
  for i = place + 1, #keys do
    local org, key = split_pair(keys[i])
    local waiters = old_key_waiters(org, key)
    for _, waiter in ipairs(redis.call('SPOP', waiters, max)) do
      local queue, lane = split_pair(waiter)
      readmit(queue, org, lane)
      spend(18)
    end
    if redis.call('EXISTS', waiters) == 0 then
      place = i
    end
    spend(2)
    if commands_left < 20 * max then
      return i < #keys or place < i
    end
  end
  return false
end

-- The lanes of ready orgs, by the rank of the org and the place in its order.
local function order_lanes(queue)
  while commands_left > 400 do
    local org = redis.call('ZRANGE', ready_orgs(queue), rank, rank)[1]
    if not org then
      return false
    end
    local lanes = redis.call('ZRANGE', org_lanes(queue, org), place, place + max - 1, 'WITHSCORES')
    spend(2)
    for i = 1, #lanes, 2 do
      local lane = lanes[i]
      if is_few(lane) then
        place = place + 1
      else
        order_lane(queue, org, lane, lanes[i + 1])
        place = redis.call('ZSCORE', org_lanes(queue, org), lane) and place + 1 or place
        spend(5)
      end
    end
    if #lanes < 2 * max then
      place, rank = 0, rank + 1
    end
  end
  return true
end

local function cursor(name, queue)
  return string.format('%s %d %d %s', name, place, rank, queue)
end

if not step then
  step, last = 'blocked', queue_after('')
  if not last then
    return ''
  end
end
if step == 'waiting' then
  if let_in_waiting() then
    return cursor('waiting', '')
  end
  place, rank = 0, 0
  last = queue_after('')
  return last and cursor('lanes', last) or ''
end
local visit = step == 'blocked' and let_in_blocked or order_lanes
if visit(last) then
  return cursor(step, last)
end
place, rank = 0, 0
last = queue_after(last)
if last then
  return cursor(step, last)
end
return step == 'blocked' and cursor('waiting', '') or ''
