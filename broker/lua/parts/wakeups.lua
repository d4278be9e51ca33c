-- The token that wakes one of the workers that wait for a queue.
-- NEEDS: keys

local WAKE_TTL_MS = 10000

local woken = {}

local function wake(queue)
  -- Whoever it is for has its token since the first time.
  if woken[queue] then
    return
  end
  woken[queue] = true
  local tokens = wake_tokens(queue)
  if redis.call('EXISTS', tokens) == 0 then
    redis.call('LPUSH', tokens, '1')
    redis.call('PEXPIRE', tokens, WAKE_TTL_MS)
  end
end
