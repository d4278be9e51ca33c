-- Charges one start to a rate if it may start now; charges nothing if it may not.
-- KEYS: rate
-- ARGV: interval_ms tolerance_ms
-- Returns: {wait_ms, paid_until_ms}; wait_ms is 0 when it was charged
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if due - tolerance > now then
  return {string.format('%.3f', due - tolerance - now), '0'}
end
local paid_until = string.format('%.3f', due + interval)
redis.call('SET', KEYS[1], paid_until, 'PX', math.ceil(due + interval - now))
return {'0', paid_until}
