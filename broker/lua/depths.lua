-- How many messages of each queue are where, and since when the oldest waits that may run. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:n, base:pn, base:l:*, base:ql:*, base:qr:*, base:qs:*, base:qd:*, base:qx:*, base:b:*, base:bk:*,
--          base:a, base:ak, base:workers, base:lease:*, base:xq:*
-- ARGV: org, then queues; the org `|` counts all orgs' messages, no queues means those that have any
-- Returns: JSON of the queues
-- INCLUDE: lanes inspection
local PORTION = 200
local only, queues, listed = ARGV[1], {}, {}

local function add(queue)
  if not listed[queue] then
    listed[queue] = true
    queues[#queues + 1] = queue
  end
end

local function leased_by_queue()
  local counts = {}
  for _, wid in ipairs(redis.call('ZRANGE', B .. ':workers', 0, -1)) do
    local mids = redis.call('HKEYS', B .. ':lease:' .. wid)
    for start = 1, #mids, PORTION do
      local records = redis.call('HMGET', B .. ':m', unpack(mids, start, math.min(start + PORTION - 1, #mids)))
      for _, record in ipairs(records) do
        local queue, org = header(record or '\n\n\n')
        if record and (only == ANY_ORG or org == only) then
          counts[queue] = (counts[queue] or 0) + 1
        end
      end
    end
  end
  return counts
end

local function ready_of(queue, org)
  local length = 0
  for _, lane in ipairs(lanes_of(queue, org, lanes_aside(queue))) do
    length = length + redis.call('LLEN', lane_key(queue, org, lane))
  end
  return length
end

for i = 2, #ARGV do
  add(ARGV[i])
end
if #ARGV == 1 then
  for _, queue in ipairs(redis.call('HKEYS', B .. ':n')) do
    add(queue)
  end
end

local leased, rows = leased_by_queue(), {}
for _, queue in ipairs(queues) do
  local row = {queue = queue, leased = leased[queue] or 0, oldest = oldest(queue, only)}
  if only == ANY_ORG then
    row.all = redis.call('HGET', B .. ':n', queue) or '0'
    row.delayed = redis.call('ZCARD', B .. ':qd:' .. queue)
    row.suspects = redis.call('ZCARD', B .. ':qx:' .. queue)
    row.dead = redis.call('ZCARD', B .. ':xq:' .. queue)
  else
    row.ready = ready_of(queue, only)
  end
  rows[#rows + 1] = row
end
return {now, cjson.encode(rows), redis.call('HGETALL', B .. ':pn')}
