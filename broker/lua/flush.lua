-- Removes a batch of a queue's messages that stand in no lane: delayed, parked, suspect, leased and dead.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:no, base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*,
--          base:qc:*, base:qd:*, base:qs:*, base:qx:*, base:wake:*, base:a, base:aq, base:ak, base:b:*, base:bz:*,
--          base:p, base:pn, base:pk:*, base:d, base:workers, base:lease:*, base:xq:*, base:xm:*, base:by, base:qw:*,
--          base:qn:*, base:qo:*, base:qa:*, base:qy:*, base:o
-- ARGV: queue max
-- Returns: how many messages were removed; 0 when none is left
-- NEEDS: keys values counters budget large_messages slots removal
local MAX_REMOVED = 38
local queue, max = ARGV[1], math.min(tonumber(ARGV[2]), MAX_REMOVED)

local function remove_from_set(set)
  -- With what is not asked for here, so that a call that fails can put it back.
  local some, message_ids, removed = redis.call('ZRANGE', set, 0, max - 1, 'WITHSCORES'), {}, 0
  for i = 1, #some, 2 do
    message_ids[#message_ids + 1] = some[i]
  end
  for i = 1, readable(message_ids, 0) do
    local message_id = message_ids[i]
    redis.call('ZREM', set, message_id)
    -- A batch that found nothing to remove is not the end.
    removed = removed + math.max(1, remove_message(queue, message_id, redis.call('HGET', MESSAGES, message_id)))
  end
  return removed
end

local function remove_leased()
  local removed = 0
  for _, worker_id in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    local leases, taken = lease_key(worker_id), {}
    local held = redis.call('HGETALL', leases)
    for i = 1, math.min(#held, 400), 2 do
      taken[#taken + 1] = held[i]
    end
    spend(3)
    for i = 1, readable(taken, 0) do
      local record = redis.call('HGET', MESSAGES, taken[i])
      local leased_from, org, lane = split_record(record)
      spend(1)
      if record and leased_from == queue then
        redis.call('HDEL', leases, taken[i])
        release_slot(org, lane)
        count_down(LEASED_BY_QUEUE, queue, 1)
        removed = removed + remove_message(queue, taken[i], record)
        spend(24)
      end
      if commands_left < 30 then
        return removed
      end
    end
  end
  return removed
end

local removed = remove_from_set(delayed_messages(queue))
if removed == 0 then
  removed = remove_from_set(suspect_messages(queue))
end
if removed == 0 then
  removed = remove_leased()
end
if removed == 0 then
  redis.call('UNLINK', dead_letter_index(queue), dead_letter_records(queue), wake_tokens(queue), outstanding_cost(queue),
    served_ahead(queue), extra_weights(queue), worked_by_age(queue))
end
return removed
