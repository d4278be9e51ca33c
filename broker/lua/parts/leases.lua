-- Leases of workers that fell silent, and of fetches whose answer got lost. Included by the operations.

local function give_back(lease, mids_and_tokens, keep)
  local back = {}
  for i = 1, #mids_and_tokens, 2 do
    if not keep[mids_and_tokens[i]] then
      local number, since_ms, charged = string.match(mids_and_tokens[i + 1], '^(%d+)|(%d+)|(.*)$')
      back[#back + 1] = {mid = mids_and_tokens[i], number = tonumber(number), since_ms = since_ms,
        charged = tonumber(charged)}
    end
  end
  -- The last one leased goes to the head first, so that the first one ends up before it.
  table.sort(back, function(a, b) return a.number > b.number end)
  for _, each in ipairs(back) do
    local record = redis.call('HGET', B .. ':m', each.mid)
    if record then
      local queue, org, lane = header(record)
      to_head(queue, org, lane, each.mid, each.since_ms)
      correct(queue, org, -each.charged)
      add_outstanding(queue, -each.charged)
      wake(queue)
    end
    redis.call('HDEL', lease, each.mid)
  end
  return #back
end

-- One silent worker a call: it holds no more than its process had room for.
local function reclaim(silent_ms)
  local oldest = redis.call('ZRANGE', B .. ':workers', 0, 0, 'WITHSCORES')
  if oldest[1] and tonumber(oldest[2]) < now - silent_ms then
    local lease = B .. ':lease:' .. oldest[1]
    give_back(lease, redis.call('HGETALL', lease), {})
    redis.call('ZREM', B .. ':workers', oldest[1])
  end
end

-- Returns 1 when the worker was not on the list: it is new, or was taken for dead.
local function beat(wid)
  return redis.call('ZADD', B .. ':workers', now, wid)
end
