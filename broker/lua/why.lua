-- Everything that decides when one message starts, as it is at one moment. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:n, base:p, base:d, base:qd:*, base:qx:*, base:probe:*, base:l:*, base:ql:*, base:qr:*, base:b:*,
--          base:bk:*, base:g, base:r, base:t:*, base:o, base:a, base:ak, base:workers, base:lease:*, base:wi, base:quiet,
--          base:xq:*, base:xm:*
-- ARGV: mid entry, then queues whose dead letters are looked at; entry is where it stands in its lane, as
--       "<since ms>|<mid>", or empty: then only the first 10,000 of the lane are looked through
-- Returns: JSON of what is known, and the record where the message is there or dead
-- INCLUDE: lanes inspection
local PORTION, MOST = 1000, 10000
local mid, entry = ARGV[1], ARGV[2]
local known = {now = now, workers = worker_facts()}

local function find_dead()
  local queues = redis.call('HKEYS', B .. ':n')
  for i = 3, #ARGV do
    queues[#queues + 1] = ARGV[i]
  end
  for _, queue in ipairs(queues) do
    local record = redis.call('HGET', B .. ':xm:' .. queue, mid)
    if record then
      known.state = 'dead'
      known.since = redis.call('ZSCORE', B .. ':xq:' .. queue, mid)
      return record
    end
  end
end

-- Where it stands in its lane, from 0, and since when it waits there.
local function place_in(lane)
  if entry ~= '' then
    return redis.call('LPOS', lane, entry), string.match(entry, '^(%d+)|')
  end
  local ending = '|' .. mid
  for start = 0, MOST - 1, PORTION do
    local entries = redis.call('LRANGE', lane, start, start + PORTION - 1)
    for i, each in ipairs(entries) do
      if string.sub(each, -#ending) == ending then
        return start + i - 1, string.match(each, '^(%d+)|')
      end
    end
    if #entries < PORTION then
      return
    end
  end
end

local function look_at_lane(queue, org, lane)
  local key = lane_key(queue, org, lane)
  known.length = redis.call('LLEN', key)
  known.place, known.since = place_in(key)
  if known.place then
    known.others, known.lanes = ahead_in_others(queue, org, lane, lane_score(lane, known.since))
  end
  known.rank = redis.call('ZRANK', B .. ':qr:' .. queue, org)
end

local function look_at(queue, org, lane)
  known.deaths = redis.call('HGET', B .. ':d', mid)
  known.due = redis.call('ZSCORE', B .. ':qd:' .. queue, mid)
  if known.due then
    known.state, known.parked = 'delayed', redis.call('HGET', B .. ':p', mid)
    return
  end
  known.suspect_since = redis.call('ZSCORE', B .. ':qx:' .. queue, mid)
  if known.suspect_since then
    known.state, known.probe = 'suspect', redis.call('GET', B .. ':probe:' .. queue)
  else
    for _, worker in ipairs(known.workers) do
      known.token = redis.call('HGET', B .. ':lease:' .. worker.id, mid)
      if known.token then
        known.state, known.worker = 'leased', worker.id
        return
      end
    end
    known.state = 'ready'
    look_at_lane(queue, org, lane)
  end
  shut_facts(known, queue, org, lane)
end

local record = redis.call('HGET', B .. ':m', mid)
if record then
  local queue, org, lane = header(record)
  look_at(queue, org, lane)
else
  record = find_dead()
end
return {cjson.encode(known), record or ''}
