-- Makes messages ready, delayed or parked, unless a queue or an org is too full. All or nothing: what is refused is
-- refused before anything is written.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:b:*, base:p, base:pn, base:pk:*, base:d,
--          base:skew, base:by, base:qn:*, base:qo:*, base:qw:*, base:qa:*, base:o, base:s:*, base:late
-- ARGV: max_of_queue max_of_org more max_bytes_of_queue max_bytes_of_org more_bytes sender number; 0 means any number,
--       `more` is how many are still to come of the same queue, and how many bytes, and count as well; sender and number
--       are those of the call (parts/senders.lua), an empty sender for none; then any number of times: message_id
--       enqueue_id delay_ms parked record; parked is "<cause>\n<key>", empty for what is not
-- Returns: {} or, when too full, {queue, org, depth, what}; org is empty where the queue is too full; what is 'messages' or
--          'bytes', and the depth so many of them; {0} for a call that came again too late to know whether it had arrived
-- WHEN FULL: refused
-- NEEDS: keys values enqueueing senders
local FIRST = 9
local max_of_queue, max_of_org, more = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local max_bytes_of_queue, max_bytes_of_org, more_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local sender, number = ARGV[7], tonumber(ARGV[8])
local arrived = check_call(sender, number)
if arrived > 0 then
  return arrived == 2 and {0} or {}
end

-- What is too full for so much more, and how much it holds.
local function too_full(sizes, prefix, arriving, max)
  for name, number in pairs(max > 0 and arriving or {}) do
    local depth = tonumber(redis.call('HGET', sizes, prefix .. name) or '0')
    if depth + number > max then
      return name, depth
    end
  end
end

local function refusal()
  local in_queues, in_orgs, bytes_in_queues, bytes_in_orgs = {}, {}, {}, {}
  for at = FIRST, #ARGV, ENQUEUE_FIELDS do
    local message_id, enqueue_id, _, _, record = read_enqueue(at)
    -- One that has arrived was let in by a call whose answer got lost: it needs no room.
    if not has_arrived(message_id, enqueue_id) then
      local queue, org = split_record(record)
      in_queues[queue] = (in_queues[queue] or more) + 1
      in_orgs[org] = (in_orgs[org] or 0) + 1
      bytes_in_queues[queue] = (bytes_in_queues[queue] or more_bytes) + #record
      bytes_in_orgs[org] = (bytes_in_orgs[org] or 0) + #record
    end
  end
  local full, depth = too_full(QUEUE_SIZES, '', in_queues, max_of_queue)
  if full then
    return {full, '', depth, 'messages'}
  end
  full, depth = too_full(BYTES, 'q:', bytes_in_queues, max_bytes_of_queue)
  if full then
    return {full, '', depth, 'bytes'}
  end
  local _, _, _, _, first = read_enqueue(FIRST)
  local queue, what = split_record(first), 'messages'
  full, depth = too_full(ORG_SIZES, '', in_orgs, max_of_org)
  if not full then
    full, depth = too_full(BYTES, 'o:', bytes_in_orgs, max_bytes_of_org)
    what = 'bytes'
  end
  return full and {queue, full, depth, what}
end

local refused = max_of_queue + max_of_org + max_bytes_of_queue + max_bytes_of_org > 0 and refusal()
if refused then
  return refused
end
for at = FIRST, #ARGV, ENQUEUE_FIELDS do
  enqueue(read_enqueue(at))
end
count_arrivals()
record_call(sender, number)
return {}
