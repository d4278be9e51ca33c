-- Sets the start rates of actors, per org. Lanes that waited for a rate are looked at again at their time.
-- KEYS: base
-- DERIVED: base:r
-- ARGV: any number of times: actor interval_ms tolerance_ms; no interval removes the rate
-- Returns: nothing
-- INCLUDE:
for i = 1, #ARGV, 3 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', B .. ':r', ARGV[i])
  else
    redis.call('HSET', B .. ':r', ARGV[i], ARGV[i + 1] .. '|' .. ARGV[i + 2])
  end
end
