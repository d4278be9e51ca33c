-- Messages whose workers crashed, counted: after two crashes in company a message is a suspect and runs in isolation;
-- after two in isolation it is poison and does not run any more.
-- NEEDS: keys values

local SUSPECT_CRASHES = 2
local POISON_CRASHES = 2

local function split_crashes(text) return string.match(text, '^(%d+)|(%d+)|') end

local function is_suspect(text)
  local crashes, isolated = split_crashes(text)
  return tonumber(crashes) >= SUSPECT_CRASHES and tonumber(isolated) < POISON_CRASHES
end

local function is_poison(text)
  local _, isolated = split_crashes(text)
  return tonumber(isolated) >= POISON_CRASHES
end

local function store_crashes(message_id, text)
  redis.call('HSET', CRASHES, message_id, text)
  redis.call('PEXPIRE', CRASHES, WEEK_MS)
end

-- Returns whether the message is a suspect now.
local function record_crash(message_id, flag, cause)
  local known = redis.call('HGET', CRASHES, message_id) or '0|0|'
  local crashes, isolated = split_crashes(known)
  local text = string.format('%d|%d|%s', crashes + 1, isolated + (flag == ISOLATED and 1 or 0), cause)
  store_crashes(message_id, text)
  return is_suspect(text)
end
