-- Starts that were none.
-- NEEDS: keys values

-- The start of a lease is given back to its rate, where it has one.
local function refund_start(org, lane, token)
  local _, _, _, interval_ms = split_token(token)
  local actor = actor_of(lane)
  local key = next_start(org, actor)
  local due_ms = interval_ms ~= '0' and redis.call('GET', key)
  if due_ms then
    redis.call('SET', key, string.format('%.3f', tonumber(due_ms) - interval_ms), 'KEEPTTL')
  end
end
