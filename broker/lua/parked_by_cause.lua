-- How many messages of a queue wait for what, in one word each: those that are parked, and those whose lane or org may
-- not run. Of the first 1,000 lanes. Reads only.
-- KEYS: base
-- DERIVED: base:pn, base:l:*, base:ql:*, base:qr:*, base:qs:*, base:b:*, base:bk:*, base:a, base:ak, base:g
-- ARGV: queue
-- Returns: any number of times: word number
-- NEEDS: keys values counters inspection
local MAX_COUNTED = 1000
local queue, counts, lanes_left = ARGV[1], {}, MAX_COUNTED
local held = held_lanes(queue)

local function count_lanes_of(org, word)
  for _, lane in ipairs(lanes_of(queue, org, held)) do
    if lanes_left > 0 then
      lanes_left = lanes_left - 1
      tally(counts, word, redis.call('LLEN', lane_key(queue, org, lane)))
    end
  end
end

-- What blocks any of these gates; nil when all are open.
local function blocked_by(gates)
  for _, blocks in ipairs(redis.call('HMGET', GATES, unpack(gates))) do
    for source, block in pairs(blocks and cjson.decode(blocks) or {}) do
      if block[1] == 0 or block[1] > now then
        return source == 'breakers' and 'breaker' or 'pause'
      end
    end
  end
end

local function count_lane(org, lane)
  local actor, key = actor_of(lane), concurrency_of(lane)
  local waits = key and redis.call('SISMEMBER', key_waiters(org, key), pair(queue, lane)) == 1
  local word = blocked_by({'a:' .. actor, 'x:' .. org .. ':' .. actor})
  lanes_left = lanes_left - 1
  tally(counts, word or waits and 'key' or 'rate', redis.call('LLEN', lane_key(queue, org, lane)))
end

local parked = redis.call('HGETALL', PARKED_COUNTS)
for i = 1, #parked, 2 do
  local parked_in, word = split_pair(parked[i])
  if parked_in == queue then
    tally(counts, word, tonumber(parked[i + 1]))
  end
end

local queue_blocked_by = blocked_by({'q:' .. queue})
if queue_blocked_by then
  for _, org in ipairs(redis.call('ZRANGE', ready_orgs(queue), 0, MAX_COUNTED - 1)) do
    count_lanes_of(org, queue_blocked_by)
    held[org] = nil
  end
end
for org, lanes in pairs(held) do
  local limited = redis.call('SISMEMBER', org_waiters(org), pair(queue, '')) == 1
  local org_held_by = queue_blocked_by or lanes[''] and (blocked_by({'o:' .. org}) or limited and 'limit')
  if org_held_by then
    count_lanes_of(org, org_held_by)
  else
    for lane in pairs(lanes) do
      if lane ~= '' and lanes_left > 0 then
        count_lane(org, lane)
      end
    end
  end
end

local reply = {}
for word, number in pairs(counts) do
  reply[#reply + 1] = word
  reply[#reply + 1] = number
end
return reply
