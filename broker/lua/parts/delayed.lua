-- What is not due yet: delayed and parked messages, and lanes and orgs that may not run. Included by the operations.

-- When something is looked at again that somebody has to open.
local NEVER_MS = 9e15

local function promote(queue, most)
  local delayed = B .. ':qd:' .. queue
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  local parked = #due > 0 and redis.call('EXISTS', B .. ':p') == 1
  local died = #due > 0 and redis.call('EXISTS', B .. ':d') == 1
  for i = 1, #due, 2 do
    redis.call('ZREM', delayed, due[i])
    local record = redis.call('HGET', B .. ':m', due[i])
    if record then
      local _, org, lane = header(record)
      if parked then
        unpark(queue, due[i])
      end
      place(queue, org, lane, due[i], tonumber(due[i + 1]), died and redis.call('HGET', B .. ':d', due[i]))
    end
  end
  local shut = B .. ':qs:' .. queue
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', shut, '-inf', now, 'LIMIT', 0, most)) do
    redis.call('ZREM', shut, each)
    local org, lane = string.match(each, '^([^\n]*)\n(.*)$')
    readmit(queue, org, lane)
  end
end

-- Milliseconds until something of the queue is due; -1 when nothing will be by itself.
local function next_due(queue)
  local first = redis.call('ZRANGE', B .. ':qd:' .. queue, 0, 0, 'WITHSCORES')[2]
  local shut = redis.call('ZRANGE', B .. ':qs:' .. queue, 0, 0, 'WITHSCORES')[2]
  local at = math.min(tonumber(first or NEVER_MS), tonumber(shut or NEVER_MS))
  return at < NEVER_MS and math.max(0, math.ceil(at - now)) or -1
end
