-- Removes a batch of a queue's messages: ready, delayed, parked, suspect, leased and dead.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:qx:*, base:qw:*, base:qn:*, base:qo:*, base:qa:*, base:qy:*, base:a, base:ak, base:b:*, base:bk:*, base:p,
--          base:pn, base:pk:*, base:d, base:wake:*, base:workers, base:lease:*, base:xq:*, base:xm:*, base:o
-- ARGV: queue max
-- Returns: how many messages were removed; 0 when none is left
-- NEEDS: keys values virtual_clock lanes slots removal
local queue, max = ARGV[1], tonumber(ARGV[2])

-- Lanes and orgs that a gate or a rate blocks.
local function readmit_blocked()
  local blocked = blocked_lanes(queue)
  local some = redis.call('ZRANGE', blocked, 0, max - 1, 'WITHSCORES')
  for i = 1, #some, 2 do
    local org_and_lane = some[i]
    redis.call('ZREM', blocked, org_and_lane)
    readmit(queue, split_pair(org_and_lane))
  end
end

-- Lanes and orgs that wait for a slot, which leases of another queue may hold. Returns whether there were any.
local function readmit_waiting()
  local found = false
  for _, org in ipairs(redis.call('HKEYS', LEASED_BY_ORG)) do
    if redis.call('SREM', org_waiters(org), pair(queue, '')) == 1 then
      readmit(queue, org, '')
      found = true
    end
  end
  for _, org_and_key in ipairs(redis.call('HKEYS', LEASED_BY_KEY)) do
    local org, key = split_pair(org_and_key)
    local waiters = key_waiters(org, key)
    for _, waiter in ipairs(redis.call('SMEMBERS', waiters)) do
      local waits_in, lane = split_pair(waiter)
      if waits_in == queue then
        redis.call('SREM', waiters, waiter)
        readmit(queue, org, lane)
        found = true
      end
    end
  end
  return found
end

local function take_from_lane(org)
  local lanes = org_lanes(queue, org)
  local lane = redis.call('ZRANGE', lanes, 0, 0, 'WITHSCORES')[1]
  local taken = {}
  if lane then
    local key = lane_key(queue, org, lane)
    for i, entry in ipairs(redis.call('LPOP', key, max) or {}) do
      local _, message_id = split_entry(entry)
      taken[i] = message_id
    end
    if redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', lanes, lane)
    end
  end
  if redis.call('EXISTS', lanes) == 0 and redis.call('ZREM', ready_orgs(queue), org) == 1 then
    redis.call('ZREM', waiting_since(queue), org)
    add_weight(queue, -extra_weight_of(org))
  end
  return taken
end

local function take_from_set(set)
  local some, taken = redis.call('ZRANGE', set, 0, max - 1, 'WITHSCORES'), {}
  for i = 1, #some, 2 do
    taken[#taken + 1] = some[i]
  end
  if #taken > 0 then
    redis.call('ZREM', set, unpack(taken))
  end
  return taken
end

local function take_leased()
  local taken = {}
  for _, worker_id in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    local leases = lease_key(worker_id)
    local held = redis.call('HGETALL', leases)
    for i = 1, #held, 2 do
      local message_id = held[i]
      local record = redis.call('HGET', MESSAGES, message_id)
      local leased_from, org, lane = split_record(record)
      if record and leased_from == queue then
        redis.call('HDEL', leases, message_id)
        release_slot(org, lane)
        taken[#taken + 1] = message_id
      end
    end
  end
  return taken
end

readmit_blocked()
local org, taken = redis.call('ZRANGE', ready_orgs(queue), 0, 0, 'WITHSCORES')[1], nil
if org then
  taken = take_from_lane(org)
else
  taken = take_from_set(delayed_messages(queue))
  if #taken == 0 then
    taken = take_from_set(suspect_messages(queue))
  end
end
if org or #taken > 0 or readmit_waiting() then
  -- A batch that found nothing to remove is not the end.
  return math.max(remove_messages(queue, taken), 1)
end
taken = take_leased()
redis.call('DEL', dead_letter_index(queue), dead_letter_records(queue), wake_tokens(queue), outstanding_cost(queue),
  served_ahead(queue), extra_weights(queue), worked_by_age(queue))
return remove_messages(queue, taken)
