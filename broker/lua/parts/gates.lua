-- What somebody has shut: queues, actors, orgs, and orgs' actors. Included by the operations.

-- Until when any of these gates is shut; nil when all are open. One whose time is over is forgotten.
local function shut_until(gates)
  local all, latest = B .. ':g', nil
  local found = redis.call('HMGET', all, unpack(gates))
  for i, gate in ipairs(gates) do
    if found[i] then
      local until_ms = 0
      for _, each in pairs(cjson.decode(found[i])) do
        until_ms = math.max(until_ms, each[1] == 0 and NEVER_MS or each[1])
      end
      if until_ms <= now then
        redis.call('HDEL', all, gate)
      elseif not latest or until_ms > latest then
        latest = until_ms
      end
    end
  end
  return latest
end

-- A lane, or for an empty name an org, leaves the ready set until then.
local function put_aside(queue, org, lane, until_ms)
  redis.call('ZADD', B .. ':qs:' .. queue, string.format('%.0f', math.ceil(until_ms)), org .. '\n' .. lane)
end
