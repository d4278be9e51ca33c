-- What becomes of leased messages: done, dead, or back to the head of their lanes. Included by the operations.
-- A record: mid token outcome duration_ms queue org lane refund n m,
--   then n times, what goes along: message_id uniq delay_ms parked record,
--   then m times, what is done with it: key field expected new_field new_value ttl_ms; no new field deletes the key.

local KEEP_MS = 7 * 24 * 60 * 60 * 1000
local SMOOTHING = 0.1
-- A token: number|since_ms|charged_ms|rate_interval_ms|leased_ms|flags
local TOKEN = '^(%d+)|(%d+)|([^|]*)|([^|]*)|(%d+)|(.*)$'

-- What an org was charged in advance is set right by what its jobs took.
local function correct(queue, org, delta)
  local change = string.format('%.6f', delta)
  if redis.call('ZADD', B .. ':qr:' .. queue, 'XX', 'INCR', change, org) then
    return
  end
  local left = B .. ':qv:' .. queue
  local own = redis.call('ZSCORE', left, org) or redis.call('GET', B .. ':qt:' .. queue) or '0'
  redis.call('ZADD', left, string.format('%.6f', tonumber(own) + delta), org)
  redis.call('PEXPIRE', left, DAY_MS)
end

local function add_outstanding(queue, ms)
  redis.call('INCRBYFLOAT', B .. ':qc:' .. queue, string.format('%.4f', ms))
  redis.call('PEXPIRE', B .. ':qc:' .. queue, DAY_MS)
end

-- A start that was none is given back to its rate.
local function refund_start(org, lane, interval_ms)
  local key = B .. ':t:' .. org .. ':' .. actor_of(lane)
  local due = redis.call('GET', key)
  if due then
    redis.call('SET', key, string.format('%.3f', tonumber(due) - interval_ms), 'KEEPTTL')
  end
end

local function learn(durations)
  for actor, seen in pairs(durations) do
    local known = tonumber(redis.call('HGET', B .. ':avg', actor) or 'nil')
    local mean = seen.sum / seen.count
    local weight = 1 - (1 - SMOOTHING) ^ seen.count
    known = known and known + (mean - known) * weight or mean
    redis.call('HSET', B .. ':avg', actor, string.format('%.4f', known))
  end
  if next(durations) then
    redis.call('PEXPIRE', B .. ':avg', KEEP_MS)
  end
end

local function bury(queue, mid, dead_ttl_ms)
  local record = redis.call('HGET', B .. ':m', mid)
  if not record then
    return
  end
  local index, kept = B .. ':xq:' .. queue, B .. ':xm:' .. queue
  local old = redis.call('ZRANGEBYSCORE', index, '-inf', now - dead_ttl_ms, 'LIMIT', 0, 100)
  if #old > 0 then
    redis.call('ZREM', index, unpack(old))
    redis.call('HDEL', kept, unpack(old))
  end
  redis.call('ZADD', index, now, mid)
  redis.call('HSET', kept, mid, record)
  redis.call('PEXPIRE', index, dead_ttl_ms)
  redis.call('PEXPIRE', kept, dead_ttl_ms)
end

-- Its own deaths go with a message that is parked; a retry has shown that it can end.
local function carry(at, number, mid, deaths)
  for _ = 1, number do
    local message_id, parked = ARGV[at], ARGV[at + 3]
    local own = deaths and parked ~= '' and message_id == string.match(mid, '^[^~]*')
    put(message_id, ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 4], parked, own and deaths or nil)
    at = at + 5
  end
end

local function operate(at, number)
  for _ = 1, number do
    local key, new = ARGV[at], ARGV[at + 3]
    if redis.call('HGET', key, ARGV[at + 1]) == ARGV[at + 2] then
      if new == '' then
        redis.call('DEL', key)
      else
        redis.call('HSET', key, new, ARGV[at + 4])
        redis.call('PEXPIRE', key, ARGV[at + 5])
      end
    end
    at = at + 6
  end
end

local function forget(mids, died)
  redis.call('HDEL', B .. ':m', unpack(mids))
  if died then
    redis.call('HDEL', B .. ':d', unpack(mids))
  end
end

local function add(totals, name, number)
  totals[name] = (totals[name] or 0) + number
end

-- Returns how many were refused, because their lease is not the sender's any more.
local function finish(wid, dead_ttl_ms, at, number)
  if number == 0 then
    return 0
  end
  local lease = B .. ':lease:' .. wid
  local gone, freed, counts, deltas, charges, durations, stale = {}, {}, {}, {}, {}, {}, 0
  local of_orgs, leases, keys, along = {}, {}, {}, {}
  local weights = redis.call('EXISTS', B .. ':o') == 1
  local died = redis.call('EXISTS', B .. ':d') == 1
  local mids, starts = {}, {}
  for i = 1, number do
    mids[i], starts[i] = ARGV[at], at
    at = at + 10 + 5 * tonumber(ARGV[at + 8]) + 6 * tonumber(ARGV[at + 9])
  end
  local tokens = redis.call('HMGET', lease, unpack(mids))
  for i, mid in ipairs(mids) do
    local from = starts[i]
    local token, outcome, took = ARGV[from + 1], ARGV[from + 2], tonumber(ARGV[from + 3])
    local queue, org, lane, refund = ARGV[from + 4], ARGV[from + 5], ARGV[from + 6], ARGV[from + 7]
    local carried, operations = tonumber(ARGV[from + 8]), tonumber(ARGV[from + 9])
    if freed[mid] or tokens[i] ~= token then
      stale = stale + 1
    else
      local _, since_ms, charged, interval_ms, _, flags = string.match(token, TOKEN)
      freed[mid] = true
      freed[#freed + 1] = mid
      -- What comes back runs again, and says then what goes along.
      if carried + operations > 0 and outcome ~= 'back' then
        along[#along + 1] = {from + 10, carried, operations, mid, died and redis.call('HGET', B .. ':d', mid)}
      end
      if refund == '1' and interval_ms ~= '0' then
        refund_start(org, lane, tonumber(interval_ms))
      end
      if outcome == 'back' then
        if redis.call('HEXISTS', B .. ':m', mid) == 1 then
          if flags == 'a' then
            redis.call('ZADD', B .. ':qx:' .. queue, since_ms, mid)
          else
            to_head(queue, org, lane, mid, since_ms)
          end
          wake(queue)
        end
      else
        if outcome == 'dead' then
          bury(queue, mid, dead_ttl_ms)
        end
        gone[#gone + 1] = mid
        add(counts, queue, 1)
        add(of_orgs, org, 1)
        local actor = actor_of(lane)
        local seen = durations[actor] or {sum = 0, count = 0}
        seen.sum, seen.count = seen.sum + took, seen.count + 1
        durations[actor] = seen
      end
      add(leases, org, 1)
      local key = key_of(lane)
      keys[org] = keys[org] or {}
      if key then
        add(keys[org], key, 1)
      end
      local weight = weights and weight_of(org) or 1
      add(charges, queue, charged)
      add(deltas, queue .. '\n' .. org, (outcome == 'back' and 0 or took / weight) - charged)
    end
  end
  if #freed > 0 then
    redis.call('HDEL', lease, unpack(freed))
  end
  if #gone > 0 then
    forget(gone, died)
  end
  for queue, ended in pairs(counts) do
    count(B .. ':n', queue, -ended)
  end
  for org, ended in pairs(of_orgs) do
    count(B .. ':no', org, -ended)
  end
  for where, delta in pairs(deltas) do
    local queue, org = string.match(where, '^([^\n]*)\n(.*)$')
    correct(queue, org, delta)
  end
  for queue, ms in pairs(charges) do
    add_outstanding(queue, -ms)
  end
  for org, ended in pairs(leases) do
    free(org, ended, keys[org])
  end
  -- After the ends: what comes again under the same id is no second copy.
  for _, each in ipairs(along) do
    carry(each[1], each[2], each[4], each[5])
    operate(each[1] + 5 * each[2], each[3])
  end
  count_in()
  learn(durations)
  return stale
end
