-- Messages whose workers died too often run alone, one in an idle process. Included by fetch.

-- Of so many at the head of the line one is looked for that may run.
local LOOKED_AT = 100

-- The first that may run now: nothing shuts it, and its concurrency key has a slot. Only its org's limit does not hold
-- it back: behind a busy org it would wait for ever.
local function first_suspect(queue)
  local waiting = B .. ':qx:' .. queue
  local first = redis.call('ZRANGE', waiting, 0, LOOKED_AT - 1, 'WITHSCORES')
  for i = 1, #first, 2 do
    local record = redis.call('HGET', B .. ':m', first[i])
    if not record then
      redis.call('ZREM', waiting, first[i])
    else
      local _, org, lane = header(record)
      local actor = actor_of(lane)
      local key, most = key_of(lane)
      local leased = key and org ~= '' and tonumber(redis.call('HGET', B .. ':ak', org .. '\n' .. key) or '0') or 0
      if not (key and leased >= tonumber(most))
        and not shut_until({'q:' .. queue, 'o:' .. org, 'a:' .. actor, 'x:' .. org .. ':' .. actor}) then
        return {mid = first[i], since_ms = first[i + 1], org = org, key = key}
      end
    end
  end
end

-- Whether messages that may run wait to be run alone: 0 none, 1 some, 2 some, and this worker is to make itself idle for one.
local function suspects_of(queue, wid, may_be_chosen, chosen_for_ms)
  if redis.call('EXISTS', B .. ':qx:' .. queue) == 0 or not first_suspect(queue) then
    return 0
  end
  local chosen = B .. ':probe:' .. queue
  local other = redis.call('GET', chosen)
  -- One that died of it is on the list no more.
  if may_be_chosen and (not other or other == wid or not redis.call('ZSCORE', B .. ':workers', other)) then
    redis.call('SET', chosen, wid, 'PX', chosen_for_ms)
    return 2
  end
  return 1
end

local function pick_alone(queue, wid, reply)
  local first = first_suspect(queue)
  if first then
    redis.call('ZREM', B .. ':qx:' .. queue, first.mid)
    redis.call('HINCRBY', B .. ':a', first.org, 1)
    if first.key then
      redis.call('HINCRBY', B .. ':ak', first.org .. '\n' .. first.key, 1)
    end
    lease(queue, wid, {{mid = first.mid, since_ms = first.since_ms, cost = 0, interval_ms = 0}}, 'a', reply)
  end
end
