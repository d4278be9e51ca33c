-- Blocks or unblocks gates for a source, as many as a call may. What a gate held that has changed is looked at again at
-- once, and others are not.
-- KEYS: base
-- DERIVED: base:n, base:qs:*, base:qb:*, base:wake:*, base:g, base:skew
-- ARGV: source, then any number of times: gate until_ms cause; until_ms 0 means until it is unblocked, an empty one
--       unblocks it
-- Returns: {how many gates were done, how many of them changed}
-- NEEDS: keys budget waiting wakeups values
local source, queues = ARGV[1], redis.call('HKEYS', QUEUE_SIZES)
local done, changed = 0, 0

-- When what a gate held is looked at: now. Of a queue's own gate nothing is held: it is asked at each fetch.
local function look_again(queue, gate)
  local kind, name = string.match(gate, '^(%a):(.*)$')
  local org, actor = string.match(name, '^([^:]*):?(.*)$')
  if kind == 'a' then
    if redis.call('ZSCORE', blocked_actors(queue), name) then
      watch_gate(queue, name, now)
    end
  elseif kind ~= 'q' then
    redis.call('ZADD', blocked_lanes(queue), 'XX', now, pair(org, actor))
  end
  if kind ~= 'q' or name == queue then
    wake(queue)
  end
end

-- Returns whether anything changed, and whether what was blocked may be open.
local function set_gate(gate, until_ms, cause)
  local known = redis.call('HGET', GATES, gate)
  local blocks = known and cjson.decode(known) or {}
  local old = blocks[source]
  if until_ms == '' then
    blocks[source] = nil
  elseif not (old and old[1] == tonumber(until_ms) and old[2] == cause) then
    blocks[source] = {tonumber(until_ms), cause}
  else
    return false, false
  end
  if next(blocks) then
    redis.call('HSET', GATES, gate, cjson.encode(blocks))
  else
    redis.call('HDEL', GATES, gate)
  end
  return old ~= nil or until_ms ~= '', old ~= nil
end

spend(3 * #queues)
for i = 2, #ARGV, 3 do
  local gate = ARGV[i]
  local is_changed, may_open = set_gate(gate, ARGV[i + 1], ARGV[i + 2])
  for _, queue in ipairs(may_open and queues or {}) do
    look_again(queue, gate)
  end
  done, changed = done + 1, changed + (is_changed and 1 or 0)
  spend(3 + 3 * #queues)
  if commands_left < 3 + 3 * #queues then
    break
  end
end
return {done, changed}
