-- What is dropped by an operator. Included by the operations.

-- Forgets messages that were taken from where they stood. Returns how many there were.
local function drop(queue, mids)
  local orgs, dropped = {}, 0
  for _, mid in ipairs(mids) do
    local record = redis.call('HGET', B .. ':m', mid)
    if record then
      local _, org = header(record)
      orgs[org] = (orgs[org] or 0) + 1
      dropped = dropped + 1
      unpark(queue, mid)
      redis.call('HDEL', B .. ':m', mid)
      redis.call('HDEL', B .. ':d', mid)
    end
  end
  for org, number in pairs(orgs) do
    count(B .. ':no', org, -number)
  end
  if dropped > 0 then
    count(B .. ':n', queue, -dropped)
  end
  return dropped
end
