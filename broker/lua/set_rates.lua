-- Sets the start rates of actors, per org. What waits for a rate that has changed is to be checked again (free_lanes.lua):
-- until that is done, the actor is marked.
-- KEYS: base
-- DERIVED: base:r, base:n
-- ARGV: any number of times: actor interval_ms tolerance_ms; no interval removes the rate
-- Returns: the queues whose lanes are to be checked; none where nothing has changed
-- NEEDS: keys values
local queues, changed = redis.call('HKEYS', QUEUE_SIZES), false
for i = 1, #ARGV, 3 do
  local actor, interval_ms, tolerance_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old, new = redis.call('HGET', START_RATES, actor), interval_ms ~= '' and interval_ms .. '|' .. tolerance_ms
  if old ~= new then
    redis.call('HSET', START_RATES, changed_rate(actor), '1')
    if new then
      redis.call('HSET', START_RATES, actor, new)
    else
      redis.call('HDEL', START_RATES, actor)
    end
  end
  if #queues == 0 then
    redis.call('HDEL', START_RATES, changed_rate(actor))
  end
  changed = changed or redis.call('HEXISTS', START_RATES, changed_rate(actor)) == 1
end
return changed and queues or {}
