-- What becomes of leased messages: done, dead, or back to the head of their lanes.
-- NEEDS: keys values counters budget wakeups virtual_clock age fair_share lanes slots enqueueing shares refunds runtimes dead_letters sizes

-- One end, as it stands in ARGV: message_id token outcome runtime_ms queue org lane refund n m,
--   then n times, what is enqueued with it (parts/enqueueing.lua),
--   then m times, a hash that changes with it: key field expected new_field new_value ttl_ms; no new field deletes the key.
local END_FIELDS = 10
local CHANGE_FIELDS = 6
local function read_end(at) return unpack(ARGV, at, at + END_FIELDS - 1) end
local function read_change(at) return unpack(ARGV, at, at + CHANGE_FIELDS - 1) end

-- What ends cost in commands: those of a lane together, and what goes along with one.
local COMMANDS_OF_ENDS = 16
local COMMANDS_ALONG = 24
-- Of each end, in elements, and more where messages crashed workers or are large.
local ELEMENTS_OF_END = 3
local ELEMENTS_NOTED = 2

-- Outcomes, beside done.
local BACK = 'back'
local DEAD = 'dead'

-- What a call adds up to is written once, when all ends have been read.
local function new_batch(dead_ttl_ms)
  local any_noted = redis.call('EXISTS', CRASHES, LARGE_MESSAGES) > 0
  return {dead_ttl_ms = dead_ttl_ms, refused = 0, ended = {}, gone = {}, bytes = {}, along = {}, carrying = {}, lanes = {}, known_lanes = {},
    has_shares = redis.call('EXISTS', ORG_SHARES) == 1,
    any_crashed = any_noted and redis.call('EXISTS', CRASHES) == 1,
    any_large = any_noted and redis.call('EXISTS', LARGE_MESSAGES) == 1}
end

-- A lane, with the sums of its leases that end.
local function lane_of(batch, queue, org, name)
  local last = batch.last_lane
  if last and last.name == name and last.org == org and last.queue == queue then
    return last
  end
  local full_name = queue .. '\n' .. org .. '\n' .. name
  local lane = batch.known_lanes[full_name]
  if not lane then
    lane = {queue = queue, org = org, name = name, leases = 0, gone = 0, runtime_ms = 0, charged_ms = 0, charged_at = 0,
      cost_ms = 0, more_ms = 0, more_by_age_ms = 0, bytes = 0}
    batch.known_lanes[full_name] = lane
  end
  batch.last_lane = lane
  return lane
end

local function read_records(batch, at, number)
  local records, message_ids = {}, {}
  for i = 1, number do
    local message_id, token, outcome, runtime_ms, queue, org, lane, refund, enqueues, changes = read_end(at)
    local record = {message_id = message_id, token = token, outcome = outcome, runtime_ms = tonumber(runtime_ms),
      refund = refund == '1', lane = lane_of(batch, queue, org, lane)}
    local enqueues_at = at + END_FIELDS
    local changes_at = enqueues_at + ENQUEUE_FIELDS * enqueues
    at = changes_at + CHANGE_FIELDS * changes
    if at > enqueues_at then
      record.along = {enqueues_at = enqueues_at, changes_at = changes_at, end_at = at}
    end
    records[i], message_ids[i] = record, message_id
  end
  return records, message_ids
end

-- Whether the lease is the sender's, and was not ended by this call already.
local function is_fenced(batch, record, token)
  if batch.ended[record.message_id] or token ~= record.token then
    batch.refused = batch.refused + 1
    return false
  end
  batch.ended[record.message_id] = true
  batch.ended[#batch.ended + 1] = record.message_id
  return true
end

-- What comes back runs again, and says then what goes along.
local function carry_along(batch, record)
  if record.along and record.outcome ~= BACK then
    record.crashes = batch.any_crashed and redis.call('HGET', CRASHES, record.message_id)
    batch.along[#batch.along + 1] = record
    batch.carrying[record.message_id] = true
  end
end

local function send_back(record)
  local message_id, lane = record.message_id, record.lane
  if redis.call('HEXISTS', MESSAGES, message_id) == 1 then
    local _, since_ms = split_token(record.token)
    if record.flag == ISOLATED then
      redis.call('ZADD', suspect_messages(lane.queue), since_ms, message_id)
    else
      prepend_to_lane(lane.queue, lane.org, lane.name, message_id, since_ms)
    end
    wake(lane.queue)
  end
end

local function end_message(batch, record)
  local lane = record.lane
  if record.refund then
    refund_start(lane.org, lane.name, record.token)
  end
  if record.outcome == BACK then
    send_back(record)
    return
  end
  if record.outcome == DEAD then
    dead_letter(lane.queue, record.message_id, batch.dead_ttl_ms)
  end
  batch.gone[#batch.gone + 1] = record.message_id
  local bytes = record.bytes
  if bytes == 0 then
    -- It had no mark when it was leased, and may have got one since.
    local stored = redis.call('HGET', MESSAGES, record.message_id) or ''
    bytes = counted_bytes(stored)
  end
  lane.bytes = lane.bytes + bytes
  lane.gone, lane.runtime_ms = lane.gone + 1, lane.runtime_ms + record.runtime_ms
end

local function release_slot_of(batch, record)
  local lane = record.lane
  if lane.leases == 0 then
    batch.lanes[#batch.lanes + 1] = lane
  end
  lane.leases = lane.leases + 1
end

-- The org is charged for what the job took, instead of for what was estimated.
local function correct_fair_share(batch, record)
  local lane = record.lane
  lane.charged_ms = lane.charged_ms + record.charged_ms
  lane.charged_at = math.max(lane.charged_at, record.charged_at)
  local weight, more_ms = batch.has_shares and share_of(lane.org).weight or 1, 0
  if record.outcome ~= BACK then
    lane.cost_ms = lane.cost_ms + record.runtime_ms / weight
    more_ms = record.runtime_ms
  end
  more_ms = more_ms - record.charged_ms * weight
  lane.more_ms = lane.more_ms + more_ms
  lane.more_by_age_ms = lane.more_by_age_ms + (record.flag == BY_AGE and more_ms or 0)
end

-- Sums of lanes by what they are written to.
local function totals_of(batch)
  local totals = {queues = {}, leased = {}, orgs = {}, runtimes = {}, charged = {}, worked = {}, more = {}, more_by_age = {},
    corrections = {}, charged_at = {}, slots = {}, key_slots = {}}
  for _, lane in ipairs(batch.lanes) do
    local queue, org, key = lane.queue, lane.org, concurrency_of(lane.name)
    if lane.gone > 0 then
      tally(totals.queues, queue, lane.gone)
      tally_bytes(batch.bytes, queue, org, -lane.bytes)
      tally(totals.orgs, org, lane.gone)
      tally_runtime(totals.runtimes, actor_of(lane.name), lane.runtime_ms, lane.gone)
    end
    local charged_to = pair(queue, org)
    tally(totals.leased, queue, lane.leases)
    tally(totals.charged, queue, lane.charged_ms)
    tally(totals.worked, queue, lane.runtime_ms)
    tally(totals.more, queue, lane.more_ms)
    tally(totals.more_by_age, queue, lane.more_by_age_ms)
    tally(totals.corrections, charged_to, lane.cost_ms - lane.charged_ms)
    totals.charged_at[charged_to] = math.max(totals.charged_at[charged_to] or 0, lane.charged_at)
    tally(totals.slots, org, lane.leases)
    totals.key_slots[org] = totals.key_slots[org] or {}
    if key then
      tally(totals.key_slots[org], key, lane.leases)
    end
  end
  return totals
end

local function count_gone(batch, totals)
  if batch.any_crashed and #batch.gone > 0 then
    redis.call('HMGET', CRASHES, unpack(batch.gone))
    redis.call('HDEL', CRASHES, unpack(batch.gone))
  end
  if batch.any_large and #batch.gone > 0 then
    redis.call('HDEL', LARGE_MESSAGES, unpack(batch.gone))
  end
  for queue, number in pairs(totals.queues) do
    count_down(QUEUE_SIZES, queue, number)
  end
  for queue, number in pairs(totals.leased) do
    count_down(LEASED_BY_QUEUE, queue, number)
  end
  for org, number in pairs(totals.orgs) do
    count_down(ORG_SIZES, org, number)
  end
  write_bytes(batch.bytes, {})
end

-- Before what goes along: what comes again under the same id is no second copy.
local function remove_carrying(batch)
  local message_ids = {}
  for i, record in ipairs(batch.along) do
    message_ids[i] = record.message_id
  end
  if #message_ids > 0 then
    redis.call('HMGET', MESSAGES, unpack(message_ids))
    redis.call('HDEL', MESSAGES, unpack(message_ids))
  end
end

-- The last of all: their records are not read, so that nothing could put them back.
local function remove_gone(batch)
  local rest = {}
  for _, message_id in ipairs(batch.gone) do
    if not batch.carrying[message_id] then
      rest[#rest + 1] = message_id
    end
  end
  if #rest > 0 then
    redis.call('HDEL', MESSAGES, unpack(rest))
  end
end

-- Returns what is outstanding of each queue.
local function write_fair_share(totals)
  local outstanding = {}
  for queue_and_org, delta in pairs(totals.corrections) do
    local queue, org = split_pair(queue_and_org)
    correct_virtual_time(queue, org, delta, totals.charged_at[queue_and_org])
  end
  for queue, ms in pairs(totals.charged) do
    outstanding[queue] = add_outstanding(queue, -ms)
    correct_work(queue, totals.more[queue], totals.more_by_age[queue])
  end
  return outstanding
end

local function write_slots(totals)
  for org, number in pairs(totals.slots) do
    release_slots(org, number, totals.key_slots[org])
  end
end

-- The crashes of a message go with it when it is parked; a retry has shown that it can end.
local function enqueue_along(record)
  for at = record.along.enqueues_at, record.along.changes_at - 1, ENQUEUE_FIELDS do
    local message_id, enqueue_id, delay_ms, parked, encoded = read_enqueue(at)
    local is_own = record.crashes and parked ~= '' and is_copy_of(record.message_id, message_id)
    spend(COMMANDS_ALONG, #encoded)
    enqueue(message_id, enqueue_id, delay_ms, parked, encoded, is_own and record.crashes or nil)
  end
end

-- The whole hash is read where it is deleted, so that it can be put back.
local function field_of(key, field, is_deleted)
  if not is_deleted then
    return redis.call('HGET', key, field)
  end
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if fields[i] == field then
      return fields[i + 1]
    end
  end
end

local function change_along(record)
  for at = record.along.changes_at, record.along.end_at - 1, CHANGE_FIELDS do
    local key, field, expected, new_field, new_value, ttl_ms = read_change(at)
    if field_of(key, field, new_field == '') == expected then
      if new_field == '' then
        redis.call('DEL', key)
      else
        redis.call('HSET', key, new_field, new_value)
        redis.call('PEXPIRE', key, ttl_ms)
      end
    end
  end
end

-- Returns how many were refused, because their lease is not the sender's any more.
local function finish(worker_id, dead_ttl_ms, at, number)
  if number == 0 then
    return 0
  end
  local lease, batch = lease_key(worker_id), new_batch(dead_ttl_ms)
  local records, message_ids = read_records(batch, at, number)
  local tokens = redis.call('HMGET', lease, unpack(message_ids))
  for i, record in ipairs(records) do
    if is_fenced(batch, record, tokens[i]) then
      record.charged_ms, record.charged_at, record.bytes, record.flag = read_token(record.token)
      carry_along(batch, record)
      end_message(batch, record)
      release_slot_of(batch, record)
      correct_fair_share(batch, record)
    end
  end
  if #batch.ended > 0 then
    redis.call('HDEL', lease, unpack(batch.ended))
  end
  local totals = totals_of(batch)
  count_gone(batch, totals)
  remove_carrying(batch)
  local outstanding = write_fair_share(totals)
  write_slots(totals)
  for queue, ms in pairs(outstanding) do
    advance(queue, totals.worked[queue], ms)
  end
  for _, record in ipairs(batch.along) do
    enqueue_along(record)
    change_along(record)
  end
  count_arrivals()
  learn_runtimes(totals.runtimes)
  remove_gone(batch)
  local noted = (batch.any_crashed and ELEMENTS_NOTED or 0) + (batch.any_large and 1 or 0)
  spend(COMMANDS_OF_ENDS * #batch.lanes, 0, (ELEMENTS_OF_END + noted) * number)
  return batch.refused
end
