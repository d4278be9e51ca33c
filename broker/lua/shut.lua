-- Replaces all that a source has shut. What is open now is looked at again at once.
-- KEYS: base
-- DERIVED: base:g, base:n, base:qs:*, base:wake:*
-- ARGV: source, then any number of times: gate until_ms cause; until_ms 0 means until it is opened
-- Returns: 1 when anything changed
-- INCLUDE: lanes
local all, source, wanted = B .. ':g', ARGV[1], {}
for i = 2, #ARGV, 3 do
  wanted[ARGV[i]] = {tonumber(ARGV[i + 1]), ARGV[i + 2]}
end
local changed, opened = 0, false
local known = redis.call('HGETALL', all)
for i = 1, #known, 2 do
  local gate, sources = known[i], cjson.decode(known[i + 1])
  local old, new = sources[source], wanted[gate]
  wanted[gate] = nil
  if old and not new then
    changed, opened = 1, true
    sources[source] = nil
    if next(sources) then
      redis.call('HSET', all, gate, cjson.encode(sources))
    else
      redis.call('HDEL', all, gate)
    end
  elseif new and not (old and old[1] == new[1] and old[2] == new[2]) then
    changed, opened = 1, true
    sources[source] = new
    redis.call('HSET', all, gate, cjson.encode(sources))
  end
end
for gate, new in pairs(wanted) do
  changed = 1
  redis.call('HSET', all, gate, cjson.encode({[source] = new}))
end
if opened then
  for _, queue in ipairs(redis.call('HKEYS', B .. ':n')) do
    local aside = B .. ':qs:' .. queue
    for _, each in ipairs(redis.call('ZRANGE', aside, 0, -1)) do
      redis.call('ZADD', aside, string.format('%.0f', now), each)
    end
    wake(queue)
  end
end
return changed
