-- A queue's lanes: what stands in each, and all that may hold it back. Reads only.
-- KEYS: base
-- DERIVED: base:l:*, base:ql:*, base:qr:*, base:qs:*, base:b:*, base:bk:*, base:g, base:r, base:t:*, base:o, base:a, base:ak,
--          base:skew
-- ARGV: queue org max facts; the org `|` means all, those that may run first, the next to run before the others; facts
--       is 1 to add what may hold each back
-- Returns: JSON of the lanes
-- NEEDS: keys values inspection
local queue, only_org, max, with_facts = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local held, orgs, is_ready, rows = held_lanes(queue), {}, {}, {}

if only_org ~= ANY_ORG then
  orgs = {only_org}
else
  orgs = redis.call('ZRANGE', ready_orgs(queue), 0, max - 1)
  for _, org in ipairs(orgs) do
    is_ready[org] = true
  end
  for org in pairs(held) do
    if not is_ready[org] then
      orgs[#orgs + 1] = org
    end
  end
end

for _, org in ipairs(orgs) do
  local time = redis.call('ZSCORE', ready_orgs(queue), org)
  for _, lane in ipairs(lanes_of(queue, org, held)) do
    local key = lane_key(queue, org, lane)
    local head = redis.call('LINDEX', key, 0)
    if head and #rows < max then
      local row = {org = org, lane = lane, length = redis.call('LLEN', key), time = time or nil, since = since_of(head)}
      if with_facts then
        add_lane_facts(row, queue, org, lane)
      end
      rows[#rows + 1] = row
    end
  end
end
return {now, cjson.encode(rows)}
