-- Drops a portion of a queue's messages: ready, delayed, parked, suspect, leased and dead.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:qx:*, base:a, base:ak, base:b:*, base:bk:*, base:p, base:pn, base:pk:*, base:d, base:wake:*,
--          base:workers, base:lease:*, base:xq:*, base:xm:*
-- ARGV: queue most
-- Returns: how many messages were dropped; 0 when none is left
-- INCLUDE: lanes putting dropping
local queue, most, mids = ARGV[1], tonumber(ARGV[2]), {}
local ready, aside = B .. ':qr:' .. queue, B .. ':qs:' .. queue

-- Lanes first that left the ready set, by a gate or a rate.
for _, each in ipairs(redis.call('ZRANGE', aside, 0, most - 1)) do
  redis.call('ZREM', aside, each)
  readmit(queue, string.match(each, '^([^\n]*)\n(.*)$'))
end

-- A portion from one of these sets.
local function from(key)
  local found = redis.call('ZRANGE', key, 0, most - 1)
  if #found > 0 then
    redis.call('ZREM', key, unpack(found))
  end
  return found
end

local function from_lanes(org)
  local lanes = B .. ':ql:' .. queue .. ':' .. org
  local lane = redis.call('ZRANGE', lanes, 0, 0)[1]
  local found = {}
  if lane then
    local key = lane_key(queue, org, lane)
    for _, entry in ipairs(redis.call('LPOP', key, most) or {}) do
      found[#found + 1] = string.match(entry, '^%d+|(.*)$')
    end
    if redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', lanes, lane)
    end
  end
  if redis.call('EXISTS', lanes) == 0 then
    redis.call('ZREM', ready, org)
  end
  return found
end

-- Orgs and lanes that wait for a slot, which leases of another queue may hold. Returns whether there were any.
local function readmit_waiting()
  local found = false
  for _, org in ipairs(redis.call('HKEYS', B .. ':a')) do
    if redis.call('SREM', B .. ':b:' .. org, queue .. '\n') == 1 then
      readmit(queue, org, '')
      found = true
    end
  end
  for _, field in ipairs(redis.call('HKEYS', B .. ':ak')) do
    local org, key = string.match(field, '^([^\n]*)\n(.*)$')
    local waiting = B .. ':bk:' .. org .. ':' .. key
    for _, each in ipairs(redis.call('SMEMBERS', waiting)) do
      local where, lane = string.match(each, '^([^\n]*)\n(.*)$')
      if where == queue then
        redis.call('SREM', waiting, each)
        readmit(queue, org, lane)
        found = true
      end
    end
  end
  return found
end

local org = redis.call('ZRANGE', ready, 0, 0)[1]
if org then
  mids = from_lanes(org)
else
  mids = from(B .. ':qd:' .. queue)
  if #mids == 0 then
    mids = from(B .. ':qx:' .. queue)
  end
end
if org or #mids > 0 or readmit_waiting() then
  -- A portion that found nothing to forget is not the end.
  return math.max(drop(queue, mids), 1)
end
for _, wid in ipairs(redis.call('ZRANGE', B .. ':workers', 0, -1)) do
  local lease = B .. ':lease:' .. wid
  for _, mid in ipairs(redis.call('HKEYS', lease)) do
    local record = redis.call('HGET', B .. ':m', mid)
    local of_queue, of_org, lane
    if record then
      of_queue, of_org, lane = header(record)
    end
    if of_queue == queue then
      local key = key_of(lane)
      redis.call('HDEL', lease, mid)
      free(of_org, 1, key and {[key] = 1} or {})
      mids[#mids + 1] = mid
    end
  end
end
redis.call('DEL', B .. ':xq:' .. queue, B .. ':xm:' .. queue, B .. ':wake:' .. queue, B .. ':qc:' .. queue)
return drop(queue, mids)
