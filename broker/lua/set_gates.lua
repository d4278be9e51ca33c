-- Replaces all gates that a source has blocked. What is open now may run again at once.
-- KEYS: base
-- DERIVED: base:g, base:n, base:qs:*, base:wake:*
-- ARGV: source, then any number of times: gate until_ms cause; until_ms 0 means until it is unblocked
-- Returns: 1 when anything changed
-- NEEDS: keys wakeups
local source, wanted = ARGV[1], {}
for i = 2, #ARGV, 3 do
  wanted[ARGV[i]] = {tonumber(ARGV[i + 1]), ARGV[i + 2]}
end
local changed, opened = 0, false
local known = redis.call('HGETALL', GATES)
for i = 1, #known, 2 do
  local gate, blocks = known[i], cjson.decode(known[i + 1])
  local old, new = blocks[source], wanted[gate]
  wanted[gate] = nil
  if old and not new then
    changed, opened = 1, true
    blocks[source] = nil
    if next(blocks) then
      redis.call('HSET', GATES, gate, cjson.encode(blocks))
    else
      redis.call('HDEL', GATES, gate)
    end
  elseif new and not (old and old[1] == new[1] and old[2] == new[2]) then
    changed, opened = 1, true
    blocks[source] = new
    redis.call('HSET', GATES, gate, cjson.encode(blocks))
  end
end
for gate, new in pairs(wanted) do
  changed = 1
  redis.call('HSET', GATES, gate, cjson.encode({[source] = new}))
end
if opened then
  for _, queue in ipairs(redis.call('HKEYS', QUEUE_SIZES)) do
    local blocked = blocked_lanes(queue)
    for _, org_and_lane in ipairs(redis.call('ZRANGE', blocked, 0, -1)) do
      redis.call('ZADD', blocked, string.format('%.0f', now), org_and_lane)
    end
    wake(queue)
  end
end
return changed
