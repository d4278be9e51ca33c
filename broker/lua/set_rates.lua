-- Sets the start rates of actors, per org. Lanes that wait for a rate are checked again at their time.
-- KEYS: base
-- DERIVED: base:r
-- ARGV: any number of times: actor interval_ms tolerance_ms; no interval removes the rate
-- Returns: nothing
-- NEEDS: keys
for i = 1, #ARGV, 3 do
  local actor, interval_ms, tolerance_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if interval_ms == '' then
    redis.call('HDEL', START_RATES, actor)
  else
    redis.call('HSET', START_RATES, actor, interval_ms .. '|' .. tolerance_ms)
  end
end
