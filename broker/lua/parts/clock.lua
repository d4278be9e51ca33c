-- The clock of timers: of what is delayed, blocked, or due by a rate. It is the server's, which may step back, and ahead
-- of it by all that this has stepped back: so a step stops nothing.
-- NEEDS: keys

local known_lead_ms

local function timer_lead_ms()
  known_lead_ms = known_lead_ms or tonumber(redis.call('GET', TIMER_LEAD) or '0')
  return known_lead_ms
end

local function advance_timers(ms)
  known_lead_ms = redis.call('INCRBY', TIMER_LEAD, string.format('%.0f', ms))
end
