-- Dead letters that come from elsewhere. Included by the operations.

-- Of two with one id the second one goes by a name of its own.
local function keep_dead(queue, message_id, uniq, record, since_ms, dead_ttl_ms)
  local index, kept = B .. ':xq:' .. queue, B .. ':xm:' .. queue
  local mid = message_id
  if redis.call('HSETNX', kept, mid, record) == 0 then
    mid = message_id .. '~' .. uniq
    redis.call('HSET', kept, mid, record)
  end
  redis.call('ZADD', index, string.format('%.0f', since_ms), mid)
  redis.call('PEXPIRE', index, dead_ttl_ms)
  redis.call('PEXPIRE', kept, dead_ttl_ms)
end
