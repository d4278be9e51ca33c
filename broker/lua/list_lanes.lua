-- A batch of the lanes of some orgs: what stands in each, and all that may hold it back. Reads only.
-- KEYS: base
-- DERIVED: base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qs:*, base:o, base:r, base:t:*, base:g, base:a, base:ak,
--          base:b:*, base:bz:*, base:skew
-- ARGV: queue max facts place rank, then orgs; facts is 1 to add what may hold each lane back; place and rank as in
--       clean_lanes.lua
-- Returns: {now, JSON of the lanes, how many orgs are through, place and rank in the next one}
-- NEEDS: keys values budget inspection lane_walk
local COMMANDS_OF_ROW = 2
local COMMANDS_OF_FACTS = 12
local queue, max, with_facts = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local rows, times = {}, {}
local commands_of_row = with_facts and COMMANDS_OF_FACTS or COMMANDS_OF_ROW

local function add_row(org, lane)
  local key = lane_key(queue, org, lane)
  local head = redis.call('LINDEX', key, 0)
  if not head then
    return
  end
  if times[org] == nil then
    times[org] = redis.call('ZSCORE', ready_orgs(queue), org)
  end
  local row = {org = org, lane = lane, length = redis.call('LLEN', key), time = times[org] or nil, since = since_of(head)}
  if with_facts then
    add_lane_facts(row, queue, org, lane)
  end
  rows[#rows + 1] = row
end

local orgs, place, rank = walk_lanes(queue, 6, tonumber(ARGV[4]), tonumber(ARGV[5]), function(org, lane)
  add_row(org, lane)
  spend(commands_of_row + 1)
  return true, true, #rows < max and commands_left > 60 + commands_of_row
end)
return {now, cjson.encode(rows), orgs, place, rank}
