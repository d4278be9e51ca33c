-- How many messages of a queue wait for what, in one word each: those that are parked, and those whose lane or org may
-- not run. Of the first 1,000 lanes. Reads only.
-- KEYS: base
-- DERIVED: base:pn, base:l:*, base:ql:*, base:qr:*, base:qs:*, base:b:*, base:bk:*, base:a, base:ak, base:g
-- ARGV: queue
-- Returns: any number of times: word number
-- INCLUDE: lanes inspection
local MOST = 1000
local queue, counts, left = ARGV[1], {}, MOST
local aside = lanes_aside(queue)

local function add(word, number)
  counts[word] = (counts[word] or 0) + number
end

local function add_lanes(org, word)
  for _, lane in ipairs(lanes_of(queue, org, aside)) do
    if left > 0 then
      left = left - 1
      add(word, redis.call('LLEN', lane_key(queue, org, lane)))
    end
  end
end

-- What shuts any of these gates; nil when all are open.
local function word_of(gates)
  for _, shut in ipairs(redis.call('HMGET', B .. ':g', unpack(gates))) do
    for source, each in pairs(shut and cjson.decode(shut) or {}) do
      if each[1] == 0 or each[1] > now then
        return source == 'breakers' and 'breaker' or 'pause'
      end
    end
  end
end

local function add_lane(org, lane)
  local actor, key = actor_of(lane), key_of(lane)
  local waits = key and redis.call('SISMEMBER', B .. ':bk:' .. org .. ':' .. key, queue .. '\n' .. lane) == 1
  local word = word_of({'a:' .. actor, 'x:' .. org .. ':' .. actor})
  left = left - 1
  add(word or waits and 'key' or 'rate', redis.call('LLEN', lane_key(queue, org, lane)))
end

local parked = redis.call('HGETALL', B .. ':pn')
for i = 1, #parked, 2 do
  local where, word = string.match(parked[i], '^([^\n]*)\n(.*)$')
  if where == queue then
    add(word, tonumber(parked[i + 1]))
  end
end

local shut = word_of({'q:' .. queue})
if shut then
  for _, org in ipairs(redis.call('ZRANGE', B .. ':qr:' .. queue, 0, MOST - 1)) do
    add_lanes(org, shut)
    aside[org] = nil
  end
end
for org, lanes in pairs(aside) do
  local limited = redis.call('SISMEMBER', B .. ':b:' .. org, queue .. '\n') == 1
  local whole = shut or lanes[''] and (word_of({'o:' .. org}) or limited and 'limit')
  if whole then
    add_lanes(org, whole)
  else
    for lane in pairs(lanes) do
      if lane ~= '' and left > 0 then
        add_lane(org, lane)
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
