-- A queue's lanes: what stands in each, and all that may hold it back. Reads only.
-- KEYS: base
-- DERIVED: base:l:*, base:ql:*, base:qr:*, base:qs:*, base:b:*, base:bk:*, base:g, base:r, base:t:*, base:o, base:a, base:ak
-- ARGV: queue org most facts; the org `|` means all, those that may run first, the next to run before the others; facts
--       is 1 to be told what may hold each back
-- Returns: JSON of the lanes
-- INCLUDE: lanes inspection
local queue, only, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local aside, orgs, seen, rows = lanes_aside(queue), {}, {}, {}

if only ~= ANY_ORG then
  orgs = {only}
else
  orgs = redis.call('ZRANGE', B .. ':qr:' .. queue, 0, most - 1)
  for _, org in ipairs(orgs) do
    seen[org] = true
  end
  for org in pairs(aside) do
    if not seen[org] then
      orgs[#orgs + 1] = org
    end
  end
end

for _, org in ipairs(orgs) do
  local time = redis.call('ZSCORE', B .. ':qr:' .. queue, org)
  for _, lane in ipairs(lanes_of(queue, org, aside)) do
    local key = lane_key(queue, org, lane)
    local head = redis.call('LINDEX', key, 0)
    if head and #rows < most then
      local row = {org = org, lane = lane, length = redis.call('LLEN', key), time = time or nil,
        since = string.match(head, '^(%d+)|')}
      if ARGV[4] == '1' then
        shut_facts(row, queue, org, lane)
      end
      rows[#rows + 1] = row
    end
  end
end
return {now, cjson.encode(rows)}
