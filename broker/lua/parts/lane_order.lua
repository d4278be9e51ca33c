-- An org's lanes in the order in which they would run, each by the age and priority of its head. What may not run now
-- stands behind all that may: HELD is added to its score.
-- The order of the org holds the lanes that are few for each actor: those of a usual priority, without a concurrency key.
-- Of all others of an actor it holds the first; they have an order of their own. So an actor is held as a whole, however
-- many lanes it has.
-- NEEDS: keys values

local HELD = 4e15
local MAX_FEW_PRIORITY = 100
-- So many lanes of an org are looked at, to hold those of an actor; others are held when it is their turn.
local MAX_SHOWN = 100

local function is_held(score) return tonumber(score) >= HELD end
local function lane_tail(lane) return string.match(lane, '^[^:]*:(%-?%d+)(.*)$') end

local function is_few(lane)
  local priority, key = lane_tail(lane)
  return key == '' and math.abs(tonumber(priority)) <= MAX_FEW_PRIORITY
end

-- Another of its actor stands for it. What is removed is read, so that it can be put back.
local function hide_lane(lanes, lane)
  if redis.call('ZSCORE', lanes, lane) then
    redis.call('ZREM', lanes, lane)
  end
end

-- A lane has something in it; for one that is held, HELD is part of the score. Returns whether the org's order changed.
local function order_lane(queue, org, lane, score)
  local lanes = org_lanes(queue, org)
  if is_few(lane) then
    redis.call('ZADD', lanes, score, lane)
    return true
  end
  local actor = actor_of(lane)
  local others = actor_lanes(queue, org, actor)
  local is_known = redis.call('ZSCORE', others, lane)
  redis.call('ZADD', others, score, lane)
  local first = redis.call('ZRANGE', others, 0, 1, 'WITHSCORES')
  if first[1] == lane then
    if first[3] then
      hide_lane(lanes, first[3])
    end
  elseif not is_known then
    return false
  else
    hide_lane(lanes, lane)
  end
  redis.call('ZADD', lanes, first[2], first[1])
  return true
end

-- Nothing of an actor may run for now.
local function hold_actor(queue, org, actor)
  local lanes, held = org_lanes(queue, org), {}
  local shown = redis.call('ZRANGE', lanes, 0, MAX_SHOWN - 1, 'WITHSCORES')
  for i = 1, #shown, 2 do
    local lane, score = shown[i], tonumber(shown[i + 1])
    if score < HELD and actor_of(lane) == actor then
      held[#held + 1] = string.format('%.0f', score + HELD)
      held[#held + 1] = lane
    end
  end
  if #held > 0 then
    redis.call('ZADD', lanes, unpack(held))
  end
end

-- A lane has another head. It is held if it was.
local function reorder_lane(queue, org, lane, score)
  local lanes = org_lanes(queue, org)
  local shown = redis.call('ZSCORE', lanes, lane)
  if is_few(lane) then
    if shown then
      redis.call('ZADD', lanes, is_held(shown) and score + HELD or score, lane)
    end
    return
  end
  local actor = actor_of(lane)
  local others = actor_lanes(queue, org, actor)
  local own = redis.call('ZSCORE', others, lane)
  if not own then
    return
  end
  local is_actor_held = shown and is_held(shown) and not is_held(own)
  order_lane(queue, org, lane, is_held(own) and score + HELD or score)
  if is_actor_held then
    hold_actor(queue, org, actor)
  end
end

-- A lane has nothing in it any more. The next one of its actor is held as that was.
local function drop_lane(queue, org, lane)
  local lanes = org_lanes(queue, org)
  if is_few(lane) then
    redis.call('ZREM', lanes, lane)
    return
  end
  local actor = actor_of(lane)
  local others = actor_lanes(queue, org, actor)
  local shown = redis.call('ZSCORE', lanes, lane)
  local own = redis.call('ZSCORE', others, lane)
  redis.call('ZREM', others, lane)
  if shown then
    redis.call('ZREM', lanes, lane)
    local first = redis.call('ZRANGE', others, 0, 0, 'WITHSCORES')
    if first[1] then
      local held = is_held(shown) and own and tonumber(own) < HELD and tonumber(first[2]) < HELD
      redis.call('ZADD', lanes, held and first[2] + HELD or first[2], first[1])
    end
  end
end

-- What would run next of an org, with its score, and the score of what follows; nil where nothing may run.
local function first_lane(queue, org)
  local lanes = org_lanes(queue, org)
  local first = redis.call('ZRANGE', lanes, 0, 1, 'WITHSCORES')
  if not first[1] or is_held(first[2]) then
    return nil
  end
  local next_score = tonumber(first[4] or HELD)
  if not is_few(first[1]) then
    local lane = first[1]
    local actor = actor_of(lane)
    local others = actor_lanes(queue, org, actor)
    next_score = math.min(next_score, tonumber(redis.call('ZRANGE', others, 1, 1, 'WITHSCORES')[2] or HELD))
  end
  return first[1], tonumber(first[2]), next_score
end

-- The first of the org's lanes that may run, with its score; nil where nothing may.
local function first_open(queue, org)
  local first = redis.call('ZRANGE', org_lanes(queue, org), 0, 0, 'WITHSCORES')
  return first[1] and tonumber(first[2]) < HELD and first or nil
end

-- An actor may run again, but for lanes of it that are held by themselves.
local function unhold_actor(queue, org, actor)
  local lanes, open = org_lanes(queue, org), {}
  local shown = redis.call('ZRANGEBYSCORE', lanes, string.format('%.0f', HELD), '+inf', 'WITHSCORES')
  for i = 1, #shown, 2 do
    local lane, score = shown[i], tonumber(shown[i + 1]) - HELD
    if actor_of(lane) == actor then
      if not is_few(lane) then
        score = redis.call('ZSCORE', actor_lanes(queue, org, actor), lane) or score
      end
      open[#open + 1] = string.format('%.0f', score)
      open[#open + 1] = lane
    end
  end
  if #open > 0 then
    redis.call('ZADD', lanes, unpack(open))
  end
end
