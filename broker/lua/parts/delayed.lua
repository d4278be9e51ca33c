-- Messages that are not due yet. Included by the operations.

local function promote(queue, most)
  local delayed = B .. ':qd:' .. queue
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #due, 2 do
    redis.call('ZREM', delayed, due[i])
    local record = redis.call('HGET', B .. ':m', due[i])
    if record then
      local _, org, lane = header(record)
      to_tail(queue, org, lane, due[i], tonumber(due[i + 1]))
    end
  end
end

local function next_due(queue)
  local first = redis.call('ZRANGE', B .. ':qd:' .. queue, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, math.ceil(tonumber(first[2]) - now)) or -1
end
