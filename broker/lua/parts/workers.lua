-- The list of workers that live.
-- NEEDS: keys clock

-- Returns 1 when the worker was not on the list: it is new, or was taken for dead. Where no worker was heard for so long
-- that all would be taken for dead, the server itself was away: they get the time to report. Where one was heard at a
-- time that is to come, the server's clock has stepped back.
local function record_heartbeat(worker_id, silent_ms)
  local heard_ms = redis.call('SET', LAST_HEARD, now, 'PX', DAY_MS, 'GET')
  if heard_ms and tonumber(heard_ms) < now - silent_ms then
    redis.call('SET', SERVER_BACK, now, 'PX', math.ceil(silent_ms / 2))
  elseif heard_ms and tonumber(heard_ms) > now + silent_ms then
    advance_timers(tonumber(heard_ms) - now)
  end
  return redis.call('ZADD', WORKERS, now, worker_id)
end

-- 1 when it is to fetch nothing for now.
local function is_quiet(worker_id) return redis.call('SISMEMBER', QUIET_WORKERS, worker_id) end

-- Returns 1 when it was on the list.
local function remove_worker(worker_id)
  redis.call('HDEL', WORKER_INFO, worker_id)
  redis.call('SREM', QUIET_WORKERS, worker_id)
  return redis.call('ZREM', WORKERS, worker_id)
end
