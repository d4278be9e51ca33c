-- Since when an org's next message waits, and how much of a queue's work is given out by that.
-- NEEDS: keys values

-- Those that join with what comes in now stand apart inside their millisecond, in the order in which they came: a score has
-- room for 4,096 steps there.
local AGE_STEP_MS = 0.00025
local joined = 0

local function set_age(queue, org, since_ms)
  since_ms = tonumber(since_ms)
  if since_ms == now then
    since_ms = now + time[2] % 1000 / 1000 + joined * AGE_STEP_MS
    joined = joined + 1
  end
  redis.call('ZADD', waiting_since(queue), string.format('%.5f', since_ms), org)
end

-- What came back may be older than what the org would have run.
local function set_age_back(queue, org, since_ms)
  if tonumber(since_ms) <= now then
    redis.call('ZSCORE', waiting_since(queue), org)
    redis.call('ZADD', waiting_since(queue), 'LT', since_ms, org)
  end
end

-- Since when the head of the first of an org's lanes waits, by what ZRANGE answers of it.
local function since_of_first(lanes) return tonumber(lanes[2]) - lane_score(lanes[1], 0) end

local function work_of(queue)
  local all_ms, by_age_ms = string.match(redis.call('GET', worked_by_age(queue)) or '0|0', '^([^|]*)|(.*)$')
  return tonumber(all_ms), tonumber(by_age_ms)
end

local function store_work(queue, all_ms, by_age_ms)
  redis.call('SET', worked_by_age(queue), string.format('%.4f|%.4f', all_ms, by_age_ms), 'PX', DAY_MS)
end

-- What was charged in advance is set right by what was worked.
local function correct_work(queue, all_ms, by_age_ms)
  if all_ms ~= 0 then
    local all, by_age = work_of(queue)
    store_work(queue, all + all_ms, by_age + by_age_ms)
  end
end
