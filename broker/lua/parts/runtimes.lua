-- What a job of an actor takes: a mean that follows what it took lately.
-- NEEDS: keys

local FIRST_GUESS_MS = 10
local SMOOTHING = 0.1

local function mean_runtime_ms(actor) return tonumber(redis.call('HGET', MEAN_RUNTIMES, actor) or FIRST_GUESS_MS) end

local function tally_runtime(runtimes, actor, ms, runs)
  local seen = runtimes[actor] or {ms = 0, runs = 0}
  seen.ms, seen.runs = seen.ms + ms, seen.runs + runs
  runtimes[actor] = seen
end

local function learn_runtimes(runtimes)
  for actor, seen in pairs(runtimes) do
    local known = tonumber(redis.call('HGET', MEAN_RUNTIMES, actor) or 'nil')
    local mean = seen.ms / seen.runs
    local weight = 1 - (1 - SMOOTHING) ^ seen.runs
    known = known and known + (mean - known) * weight or mean
    redis.call('HSET', MEAN_RUNTIMES, actor, string.format('%.4f', known))
  end
  if next(runtimes) then
    redis.call('PEXPIRE', MEAN_RUNTIMES, WEEK_MS)
  end
end
