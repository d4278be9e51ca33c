-- All pauses in force, unless nothing has changed.
-- KEYS: kept version
-- ARGV: since
-- Returns: {} when the version is still `since`, else {version, now in epoch ms, body, ...}

local version = redis.call('GET', KEYS[2]) or '0'
if version == ARGV[1] then
  return {}
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {version, string.format('%.0f', now_ms)}
for _, body in ipairs(redis.call('HVALS', KEYS[1])) do
  local until_ms = cjson.decode(body).until_ms
  if not until_ms or until_ms > now_ms then
    table.insert(answer, body)
  end
end
return answer
