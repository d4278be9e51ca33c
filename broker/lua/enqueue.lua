-- Makes messages ready, delayed or parked, unless a queue or an org is too full. All or nothing: what is refused is
-- refused before anything is written.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:b:*, base:p, base:pn, base:pk:*, base:d,
--          base:skew, base:s:*, base:late
-- ARGV: max_of_queue max_of_org more sender number; 0 means any number, `more` is how many are still to come of the same
--       queue and count as well; sender and number are those of the call (parts/senders.lua), an empty sender for none;
--       then any number of times: message_id enqueue_id delay_ms parked record; parked is
--       "<cause>\n<key>", empty for what is not
-- Returns: {} or, when too full, {queue, org, depth}; org is empty where the queue is too full; {0} for a call that
--          came again too late to know whether it had arrived
-- WHEN FULL: refused
-- NEEDS: keys values enqueueing senders
local max_of_queue, max_of_org, more = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sender, number, FIRST = ARGV[4], tonumber(ARGV[5]), 6
local arrived = check_call(sender, number)
if arrived > 0 then
  return arrived == 2 and {0} or {}
end

-- What is too full for so many more, and how many it holds.
local function too_full(sizes, arriving, max)
  for name, number in pairs(arriving) do
    local depth = tonumber(redis.call('HGET', sizes, name) or '0')
    if depth + number > max then
      return name, depth
    end
  end
end

if max_of_queue > 0 or max_of_org > 0 then
  local in_queues, in_orgs = {}, {}
  for at = FIRST, #ARGV, ENQUEUE_FIELDS do
    local message_id, enqueue_id, _, _, record = read_enqueue(at)
    -- One that has arrived was let in by a call whose answer got lost: it needs no room.
    if not has_arrived(message_id, enqueue_id) then
      local queue, org = split_record(record)
      in_queues[queue] = (in_queues[queue] or more) + 1
      in_orgs[org] = (in_orgs[org] or 0) + 1
    end
  end
  local full_queue, queue_depth = too_full(QUEUE_SIZES, max_of_queue > 0 and in_queues or {}, max_of_queue)
  if full_queue then
    return {full_queue, '', queue_depth}
  end
  local full_org, org_depth = too_full(ORG_SIZES, max_of_org > 0 and in_orgs or {}, max_of_org)
  if full_org then
    local _, _, _, _, first = read_enqueue(FIRST)
    local queue = split_record(first)
    return {queue, full_org, org_depth}
  end
end
for at = FIRST, #ARGV, ENQUEUE_FIELDS do
  enqueue(read_enqueue(at))
end
count_arrivals()
record_call(sender, number)
return {}
