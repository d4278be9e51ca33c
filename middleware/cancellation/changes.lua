-- What requests to cancel were made or withdrawn after a version, oldest change first.
-- KEYS: log requests ends
-- ARGV: since limit
-- Returns: {version to ask with next, {body, ms it stays in force}, ...}; those whose time is over are left out

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local version = ARGV[1]
local answer = {}
local more = true
while more and #answer == 0 do
  local newer = redis.call(
    'ZRANGEBYSCORE', KEYS[1], '(' .. version, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
  more = #newer > 0
  for i = 1, #newer, 2 do
    version = newer[i + 1]
    local left_ms = tonumber(redis.call('ZSCORE', KEYS[3], newer[i]) or 0) - now_ms
    if left_ms > 0 then
      table.insert(answer, {redis.call('HGET', KEYS[2], newer[i]), string.format('%.0f', left_ms)})
    end
  end
end
table.insert(answer, 1, version)
return answer
