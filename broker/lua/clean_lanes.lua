-- Removes a batch of what stands in lanes of some orgs, the oldest of each first, or counts it.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:d, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qs:*,
--          base:qb:*, base:qg:*, base:b:*, base:bz:*, base:by, base:qa:*
-- ARGV: queue actor before_ms dry_run place rank, then orgs; an empty actor means any; before_ms is 'inf' for all; place
--       and rank say where in the first org the batch begins, 0 and 0 at its start
-- Returns: {how many messages were removed, or would be, how many orgs are through, place and rank in the next one}
-- NEEDS: keys values budget inspection removal lane_index lane_walk
local MAX_REMOVED = 150
-- What a lane costs in commands, beside the search for its first message that stays; and one of which some are removed.
local COMMANDS_COUNTED = 4
local COMMANDS_REMOVED = 22
local queue, only_actor, before_ms, dry_run = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local found, removed, removed_by_org = 0, 0, {}

local function remove_from(org, lane, key, old)
  local message_ids = removed_by_org[org] or {}
  removed_by_org[org] = message_ids
  for _, entry in ipairs(redis.call('LPOP', key, math.min(old, MAX_REMOVED - removed))) do
    local _, message_id = split_entry(entry)
    message_ids[#message_ids + 1] = message_id
    removed = removed + 1
  end
  return reindex_lane(queue, org, lane)
end

-- Returns whether the lane is still there, and whether all was done of it.
local function clean(org, lane)
  if only_actor ~= '' and actor_of(lane) ~= only_actor then
    spend(1)
    return true, true
  end
  local key = lane_key(queue, org, lane)
  local old = count_before(key, lane, before_ms == 'inf' and math.huge or lane_score(lane, before_ms))
  spend(COMMANDS_COUNTED + (before_ms == 'inf' and 0 or math.ceil(math.log(old + 2) / math.log(2)) + 1))
  if dry_run or old == 0 then
    found = found + old
    return true, true
  end
  spend(COMMANDS_REMOVED)
  local is_all = old <= MAX_REMOVED - removed
  return remove_from(org, lane, key, old), is_all
end

local orgs, place, rank = walk_lanes(queue, 7, tonumber(ARGV[5]), tonumber(ARGV[6]), function(org, lane)
  local is_left, is_done = clean(org, lane)
  return is_left, is_done, commands_left > 2 * (COMMANDS_COUNTED + COMMANDS_REMOVED) and removed < MAX_REMOVED
end)
return {found + remove_ready(queue, removed_by_org), orgs, place, rank}
