-- How often jobs of an actor may start for each org: the generic cell rate algorithm, ITU-T I.371, annex A.
-- NEEDS: keys clock

local known_rates = {}

local function configured_rate(actor)
  local rate = known_rates[actor]
  if rate == nil then
    local interval_ms, tolerance_ms = string.match(redis.call('HGET', START_RATES, actor) or '', '^(.*)|(.*)$')
    rate = interval_ms and {interval_ms = tonumber(interval_ms), tolerance_ms = tonumber(tolerance_ms)} or false
    known_rates[actor] = rate
  end
  return rate
end

-- When the next start of an org is due by a rate, or now. What lies further ahead than the rate puts anything is of a
-- slower one, which holds no more: the next may start at once.
local function next_start_ms(org, actor, rate)
  local due_ms = math.max(tonumber(redis.call('GET', next_start(org, actor)) or '0') - timer_lead_ms(), now)
  if due_ms > now + rate.tolerance_ms + rate.interval_ms + 1 then
    return now + rate.tolerance_ms
  end
  return due_ms
end

-- The rate by which an org may start something now; nil when there is none. Else false, and when it may.
local function start_rate(org, actor)
  local rate = configured_rate(actor)
  if not rate then
    return nil
  end
  local due_ms = next_start_ms(org, actor, rate)
  if due_ms - rate.tolerance_ms > now then
    return false, due_ms - rate.tolerance_ms
  end
  return {key = next_start(org, actor), due_ms = due_ms, interval_ms = rate.interval_ms, tolerance_ms = rate.tolerance_ms}
end

local function store_rate(rate)
  local at = string.format('%.3f', rate.due_ms + timer_lead_ms())
  redis.call('SET', rate.key, at, 'PX', math.max(1, math.ceil(rate.due_ms - now)))
end
