-- How messages come in: ready, delayed, or parked with a cause.
-- NEEDS: keys values counters virtual_clock wakeups lanes parking delays crashes large_messages clock sizes

-- One enqueue, as it stands in ARGV: message_id enqueue_id delay_ms parked record.
local ENQUEUE_FIELDS = 5
local function read_enqueue(at) return unpack(ARGV, at, at + ENQUEUE_FIELDS - 1) end

-- Whether this very enqueue has arrived already, and its message has not ended.
local function has_arrived(message_id, enqueue_id)
  local record = redis.call('HGET', MESSAGES, message_id)
  return record and (enqueue_id_of(record) == enqueue_id
    or redis.call('HEXISTS', MESSAGES, copy_name(message_id, enqueue_id)) == 1)
end

-- Returns the name that the message goes by: its own id, or a copy's while the first has not ended. Returns nil for an
-- enqueue that has arrived already, by a call whose answer got lost.
local function store_record(message_id, enqueue_id, record)
  if redis.call('HSETNX', MESSAGES, message_id, record) == 1 then
    return message_id
  end
  local first = redis.call('HGET', MESSAGES, message_id)
  if enqueue_id_of(first) == enqueue_id then
    return nil
  end
  local copy = copy_name(message_id, enqueue_id)
  return redis.call('HSETNX', MESSAGES, copy, record) == 1 and copy or nil
end

-- What is due further ahead was sent by nobody's encoder.
local MAX_DELAY_MS = 3660 * DAY_MS

-- To the end of its lane, or, by what is known of its crashes, to the suspects.
local function make_ready(queue, org, lane, message_id, due_ms, crashes)
  local since_ms = math.max(0, math.min(due_ms, now))
  if crashes and is_suspect(crashes) then
    redis.call('ZADD', suspect_messages(queue), string.format('%.0f', since_ms), message_id)
  else
    append_to_lane(queue, org, lane, message_id, since_ms)
  end
end

local function delay(queue, org, message_id, delay_ms, parked)
  if parked ~= '' then
    park(queue, message_id, delay_ms, parked)
  end
  local delayed, due_ms = delayed_messages(queue), string.format('%.0f', now + timer_lead_ms() + delay_ms)
  redis.call('ZADD', delayed, due_ms, message_id)
  index_delay(queue, org, message_id, due_ms)
  if redis.call('ZRANGE', delayed, 0, 0)[1] == message_id then
    wake(queue)
  end
end

-- Counted when all are in: many go to one queue, and many are of one org.
local arrived_in_queues, arrived_in_orgs, bytes_in_queues, bytes_in_orgs = {}, {}, {}, {}

-- `count_arrivals` has to follow when all are in. Crashes are those of a message that was parked: it has not shown that
-- it can end.
local function enqueue(message_id, enqueue_id, delay_text, parked, record, crashes)
  local delay_ms = tonumber(delay_text)
  -- The mark is what an enqueue id begins with whose bytes are counted.
  local queue, org, lane, mark = string.match(record, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(%.?)[^\n]*\n')
  if not mark or not delay_ms or not (delay_ms >= 0 and delay_ms <= MAX_DELAY_MS) then
    error('no enqueue of ours: ' .. message_id, 0)
  end
  local name = store_record(message_id, enqueue_id, record)
  if not name then
    return
  end
  tally(arrived_in_queues, queue, 1)
  tally(arrived_in_orgs, org, 1)
  if mark == '.' then
    tally(bytes_in_queues, queue, #record)
    tally(bytes_in_orgs, org, #record)
  end
  note_size(name, record)
  if crashes then
    store_crashes(name, crashes)
  end
  if delay_ms > 0 then
    delay(queue, org, name, delay_ms, parked)
  else
    make_ready(queue, org, lane, name, now, crashes)
    wake(queue)
  end
end

local function count_arrivals()
  local bytes, was_empty = {}, {}
  for queue, number in pairs(arrived_in_queues) do
    local was = redis.call('HINCRBY', QUEUE_SIZES, queue, number) == number
    bytes['q:' .. queue], was_empty['q:' .. queue] = bytes_in_queues[queue], was
    if was then
      begin_anew(queue)
    end
  end
  for org, number in pairs(arrived_in_orgs) do
    was_empty['o:' .. org] = redis.call('HINCRBY', ORG_SIZES, org, number) == number
    bytes['o:' .. org] = bytes_in_orgs[org]
  end
  write_bytes(bytes, was_empty)
end
