-- How many messages of each queue are where, and since when the oldest waits that may run. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:n, base:pn, base:l:*, base:ql:*, base:qr:*, base:qs:*, base:qd:*, base:qx:*, base:b:*, base:bk:*,
--          base:a, base:ak, base:workers, base:lease:*, base:xq:*
-- ARGV: org, then queues; the org `|` counts all orgs' messages, no queues means those that have any
-- Returns: JSON of the queues
-- NEEDS: keys values counters inspection
local BATCH = 200
local only_org, queues, listed = ARGV[1], {}, {}

local function add(queue)
  if not listed[queue] then
    listed[queue] = true
    queues[#queues + 1] = queue
  end
end

local function leased_by_queue()
  local counts = {}
  for _, worker_id in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    local leased = redis.call('HKEYS', lease_key(worker_id))
    for start = 1, #leased, BATCH do
      local records = redis.call('HMGET', MESSAGES, unpack(leased, start, math.min(start + BATCH - 1, #leased)))
      for _, record in ipairs(records) do
        local queue, org = split_record(record)
        if record and (only_org == ANY_ORG or org == only_org) then
          tally(counts, queue, 1)
        end
      end
    end
  end
  return counts
end

local function ready_of(queue, org)
  local length = 0
  for _, lane in ipairs(lanes_of(queue, org, held_lanes(queue))) do
    length = length + redis.call('LLEN', lane_key(queue, org, lane))
  end
  return length
end

for i = 2, #ARGV do
  add(ARGV[i])
end
if #ARGV == 1 then
  for _, queue in ipairs(redis.call('HKEYS', QUEUE_SIZES)) do
    add(queue)
  end
end

local leased, rows = leased_by_queue(), {}
for _, queue in ipairs(queues) do
  local row = {queue = queue, leased = leased[queue] or 0, oldest = oldest_since(queue, only_org)}
  if only_org == ANY_ORG then
    row.all = redis.call('HGET', QUEUE_SIZES, queue) or '0'
    row.delayed = redis.call('ZCARD', delayed_messages(queue))
    row.suspects = redis.call('ZCARD', suspect_messages(queue))
    row.dead = redis.call('ZCARD', dead_letter_index(queue))
  else
    row.ready = ready_of(queue, only_org)
  end
  rows[#rows + 1] = row
end
return {now, cjson.encode(rows), redis.call('HGETALL', PARKED_COUNTS)}
