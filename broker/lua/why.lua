-- Everything that decides when one message starts, as it is at one moment. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:n, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qd:*, base:qs:*, base:qx:*, base:o, base:r,
--          base:t:*, base:g, base:a, base:ak, base:b:*, base:bz:*, base:p, base:d, base:probe:*, base:workers, base:wi,
--          base:quiet, base:lease:*, base:xq:*, base:xm:*, base:skew
-- ARGV: message_id entry, then queues whose dead letters are searched; entry is where it stands in its lane, as
--       "<since ms>|<message id>", or empty: then only the first 300 of the lane are searched
-- Returns: JSON of what is known, and the record where the message is there or dead
-- NEEDS: keys values inspection
local MAX_WORKERS = 40
local MAX_ENTRIES = 300
local message_id, entry = ARGV[1], ARGV[2]
local known = {now = now, workers = worker_facts(0, MAX_WORKERS - 1)}

local function find_dead_letter()
  local queues = redis.call('HKEYS', QUEUE_SIZES)
  for i = 3, #ARGV do
    queues[#queues + 1] = ARGV[i]
  end
  for _, queue in ipairs(queues) do
    local record = redis.call('HGET', dead_letter_records(queue), message_id)
    if record then
      known.state = 'dead'
      known.since = redis.call('ZSCORE', dead_letter_index(queue), message_id)
      return record
    end
  end
end

-- Its index in its lane, from 0, and since when it waits there.
local function find_in_lane(key)
  if entry ~= '' then
    return redis.call('LPOS', key, entry), since_of(entry)
  end
  local ending = '|' .. message_id
  for i, candidate in ipairs(redis.call('LRANGE', key, 0, MAX_ENTRIES - 1)) do
    if string.sub(candidate, -#ending) == ending then
      return i - 1, since_of(candidate)
    end
  end
end

local function add_ready(queue, org, lane)
  local key = lane_key(queue, org, lane)
  known.length = redis.call('LLEN', key)
  known.place, known.since = find_in_lane(key)
  if known.place then
    known.others, known.lanes = ahead_in_others(queue, org, lane, lane_score(lane, known.since))
  end
  known.rank = redis.call('ZRANK', ready_orgs(queue), org)
end

-- Returns whether a worker has leased it.
local function add_lease()
  for _, worker in ipairs(known.workers) do
    known.token = redis.call('HGET', lease_key(worker.id), message_id)
    if known.token then
      known.worker = worker.id
      return true
    end
  end
end

local function add_message(queue, org, lane)
  known.deaths = redis.call('HGET', CRASHES, message_id)
  local due_ms = redis.call('ZSCORE', delayed_messages(queue), message_id)
  known.due = due_ms and due_by_clock(due_ms)
  if known.due then
    known.state, known.parked = 'delayed', redis.call('HGET', PARKED_CAUSES, message_id)
    return
  end
  known.suspect_since = redis.call('ZSCORE', suspect_messages(queue), message_id)
  if known.suspect_since then
    known.state, known.probe = 'suspect', redis.call('GET', quarantine_worker(queue))
  elseif add_lease() then
    known.state = 'leased'
    return
  else
    known.state = 'ready'
    add_ready(queue, org, lane)
  end
  add_lane_facts(known, queue, org, lane)
end

local record = redis.call('HGET', MESSAGES, message_id)
if record then
  add_message(split_record(record))
else
  record = find_dead_letter()
end
return {cjson.encode(known), record or ''}
