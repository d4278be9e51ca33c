-- Leases of workers that fell silent, and of fetches whose answer got lost.
-- NEEDS: keys values counters age shares budget large_messages wakeups fair_share lanes slots crashes refunds workers

-- Each that comes back costs so many commands; a call has so many back at most, and the next one goes on.
local COMMANDS_BACK = 24
local MAX_BACK = 12
local RESERVED_BYTES_BACK = 3 * 1024 * 1024

-- Those of a worker's lease table that are not kept, the last one leased first.
local function read_leases(message_ids_and_tokens, kept)
  local leases = {}
  for i = 1, #message_ids_and_tokens, 2 do
    local message_id, token = message_ids_and_tokens[i], message_ids_and_tokens[i + 1]
    if not kept[message_id] then
      local number, since_ms, charged_ms = split_token(token)
      leases[#leases + 1] = {message_id = message_id, token = token, number = tonumber(number), since_ms = since_ms,
        charged_ms = tonumber(charged_ms), flag = flag_of(token)}
    end
  end
  table.sort(leases, function(a, b) return a.number > b.number end)
  return leases
end

-- Whether a message that comes back is a suspect. Without a cause of death nobody crashed.
local function is_suspect_again(lease, cause)
  if not cause then
    return lease.flag == ISOLATED
  end
  return lease.flag ~= POISON and record_crash(lease.message_id, lease.flag, cause)
end

-- Where a message goes whose worker crashed: first home, then to the suspects, then home to be rejected. The last one
-- leased goes to the head first, so that the first one ends up before it. Returns how many messages came back, and
-- whether that was all.
local function return_leases(leases_of_worker, message_ids_and_tokens, kept, cause)
  local leases, message_ids, back_in = read_leases(message_ids_and_tokens, kept), {}, {}
  for i = 1, math.min(#leases, affordable(2 * COMMANDS_BACK, MAX_BACK)) do
    message_ids[i] = leases[i].message_id
  end
  local number = readable(message_ids, RESERVED_BYTES_BACK)
  for i = 1, #message_ids > 0 and number or 0 do
    local lease = leases[i]
    local record = redis.call('HGET', MESSAGES, lease.message_id)
    redis.call('HDEL', leases_of_worker, lease.message_id)
    if record then
      local queue, org, lane = split_record(record)
      if is_suspect_again(lease, cause) then
        redis.call('ZADD', suspect_messages(queue), lease.since_ms, lease.message_id)
      else
        prepend_to_lane(queue, org, lane, lease.message_id, lease.since_ms)
      end
      if not cause then
        refund_start(org, lane, lease.token)
      end
      correct_virtual_time(queue, org, -lease.charged_ms, charged_at_of(lease.token))
      add_outstanding(queue, -lease.charged_ms)
      local charged_ms = lease.charged_ms * share_of(org).weight
      correct_work(queue, -charged_ms, lease.flag == BY_AGE and -charged_ms or 0)
      release_slot(org, lane)
      tally(back_in, queue, 1)
      wake(queue)
    end
  end
  for queue, leased in pairs(back_in) do
    count_down(LEASED_BY_QUEUE, queue, leased)
  end
  spend(COMMANDS_BACK * number)
  return number, number == #leases
end

-- Beats so far ahead are of a clock that has stepped back since: they count from now on.
local function clamp_heartbeats(silent_ms)
  local ahead = redis.call('ZRANGEBYSCORE', WORKERS, string.format('(%.0f', now + silent_ms), '+inf', 'LIMIT', 0, 100)
  for _, worker_id in ipairs(ahead) do
    redis.call('ZADD', WORKERS, now, worker_id)
  end
end

-- Whether workers get the time to report, since the server was away.
local function is_server_back(silent_ms)
  local back_ms = redis.call('GET', SERVER_BACK)
  return back_ms and tonumber(back_ms) <= now + silent_ms
end

-- Some of what one silent worker holds. Returns how many messages came back.
local function reclaim(silent_ms)
  clamp_heartbeats(silent_ms)
  local oldest = redis.call('ZRANGE', WORKERS, 0, 0, 'WITHSCORES')
  local worker_id, heartbeat_ms = oldest[1], tonumber(oldest[2])
  -- 0: a supervisor reported its end.
  if not worker_id or heartbeat_ms >= now - silent_ms
    or (heartbeat_ms > 0 and is_server_back(silent_ms)) then
    return 0
  end
  local leases, reported = lease_key(worker_id), redis.call('GET', worker_end(worker_id))
  local cause = reported ~= 'stopped' and (reported or 'silent') or nil
  local returned, was_all = return_leases(leases, redis.call('HGETALL', leases), {}, cause)
  if was_all then
    remove_worker(worker_id)
  end
  return returned
end
