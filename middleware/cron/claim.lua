-- Claims a tick for a message, and the mark of its actor where only one tick may run.
-- KEYS: tick run seen state
-- ARGV: minute holder window_ms exclusive_ms covers owed state_ms
-- Returns: granted | taken | covered | running | busy
local minute, holder, window_ms, exclusive_ms = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local covers, owed = tonumber(ARGV[5]), ARGV[6] == '1'
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= holder then
  return 'taken'
end
owed = owed or owner == holder
redis.call('ZADD', KEYS[3], minute, minute)
redis.call('PEXPIRE', KEYS[3], window_ms)
local covered = tonumber(redis.call('HGET', KEYS[4], 'covered') or '-1')
if not owed and minute <= covered then
  return 'covered'
end

if exclusive_ms > 0 then
  local runner = redis.call('GET', KEYS[2])
  if runner and runner ~= holder then
    if owed then
      return 'busy'
    end
    redis.call('SET', KEYS[1], holder, 'PX', window_ms)
    return 'running'
  end
  redis.call('SET', KEYS[2], holder, 'PX', exclusive_ms)
end
redis.call('SET', KEYS[1], holder, 'PX', window_ms)
if covers > covered then
  redis.call('HSET', KEYS[4], 'covered', covers)
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end
return 'granted'
