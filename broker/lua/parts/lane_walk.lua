-- A walk through all lanes of some orgs, those that may not run too, in as many calls as it takes.
-- NEEDS: keys values budget lane_order

-- So many lanes are read at once.
local MAX_READ = 60

-- With their scores, so that those that are removed can be put back.
local function members_of(members_and_scores)
  local members = {}
  for i = 1, #members_and_scores, 2 do
    members[#members + 1] = members_and_scores[i]
  end
  return members
end

-- Calls `visit(org, lane)` for the lanes of the orgs that stand in ARGV from there on, of the first one from a place
-- in its order on, and from a rank on where that stands for many lanes of an actor. It returns whether the lane is still
-- there, whether it is done with it, and whether there is time for more. Returns how many orgs are through, and place and
-- rank in the next one.
local function walk_lanes(queue, first_org, place, rank, visit)
  for at = first_org, #ARGV do
    local org = ARGV[at]
    spend(1)
    while true do
      local lane = redis.call('ZRANGE', org_lanes(queue, org), place, place, 'WITHSCORES')[1]
      if not lane then
        break
      end
      local others = nil
      local lanes = {lane}
      if not is_few(lane) then
        local actor = actor_of(lane)
        others = actor_lanes(queue, org, actor)
        lanes = members_of(redis.call('ZRANGE', others, rank, rank + MAX_READ - 1, 'WITHSCORES'))
        -- One that an older release put there stands for itself; one that moved just now was seen.
        if rank == 0 and lanes[1] ~= lane then
          if redis.call('ZSCORE', others, lane) then
            lanes, rank = {}, 1
          else
            lanes = {lane}
          end
          others = nil
        end
      end
      spend(2)
      for _, each in ipairs(lanes) do
        local is_left, is_done, is_time = visit(org, each)
        if is_left and is_done then
          rank = rank + 1
        end
        if not is_time then
          if not others and rank > 0 then
            return at - first_org, place + 1, 0
          end
          return at - first_org, place, rank
        end
      end
      if not others or #lanes < MAX_READ then
        -- Where nothing is left of them, the next one has their place.
        local is_there = redis.call('ZRANGE', org_lanes(queue, org), place, place)[1]
        place, rank = (rank > 0 and is_there) and place + 1 or place, 0
      end
    end
    place, rank = 0, 0
    if commands_left < 50 then
      return at - first_org + 1, 0, 0
    end
  end
  return #ARGV - first_org + 1, 0, 0
end
