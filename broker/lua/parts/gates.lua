-- What somebody has blocked, by a gate: q:<queue>, a:<actor>, o:<org>, or x:<org>:<actor>.
-- NEEDS: keys

-- When something is checked again that somebody has to unblock.
local NEVER_MS = 9e15

-- All gates that a message goes through.
local function gates_of(queue, org, actor)
  return {'q:' .. queue, 'a:' .. actor, 'o:' .. org, 'x:' .. org .. ':' .. actor}
end

-- Until when any of these gates is blocked, and the first one that is for so long; nil when all are open. One whose time
-- is over is removed.
local function blocked_until(gates)
  local latest, by = nil, nil
  local found = redis.call('HMGET', GATES, unpack(gates))
  for i, gate in ipairs(gates) do
    if found[i] then
      local until_ms = 0
      for _, block in pairs(cjson.decode(found[i])) do
        until_ms = math.max(until_ms, block[1] == 0 and NEVER_MS or block[1])
      end
      if until_ms <= now then
        redis.call('HDEL', GATES, gate)
      elseif not latest or until_ms > latest then
        latest, by = until_ms, gate
      end
    end
  end
  return latest, by
end
