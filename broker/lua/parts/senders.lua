-- Which calls of a sending process have arrived: the highest number, and which of the 1,024 up to it. Kept for a minute
-- after its last call; so long a call may be repeated whose answer got lost.
-- NEEDS: keys

local WINDOW = 1024
local SENDER_TTL_MS = 60000

-- A record: "<highest number>|<a bit for each number, by its rest>".
local function read_calls(sender)
  local known = redis.call('GET', sender_calls(sender))
  if not known then
    return 0, string.rep('\0', WINDOW / 8)
  end
  local highest, bits = string.match(known, '^(%d+)|(.*)$')
  if not highest or #bits ~= WINDOW / 8 then
    error('the calls of a sender cannot be read', 0)
  end
  return tonumber(highest), bits
end

local function has_bit(bits, number)
  local rest = number % WINDOW
  return math.floor(string.byte(bits, math.floor(rest / 8) + 1) / 2 ^ (rest % 8)) % 2 == 1
end

local function with_bit(bits, number, is_set)
  if has_bit(bits, number) == is_set then
    return bits
  end
  local rest = number % WINDOW
  local at = math.floor(rest / 8) + 1
  local byte = string.byte(bits, at) + (is_set and 1 or -1) * 2 ^ (rest % 8)
  return string.sub(bits, 1, at - 1) .. string.char(byte) .. string.sub(bits, at + 1)
end

-- 1 when the call has arrived before, 2 when that cannot be known any more, which is counted; else 0.
local function check_call(sender, number)
  if sender == '' then
    return 0
  end
  local highest, bits = read_calls(sender)
  if number <= highest - WINDOW then
    redis.call('INCR', LATE_REPEATS)
    redis.call('PEXPIRE', LATE_REPEATS, WEEK_MS)
    return 2
  end
  return number <= highest and has_bit(bits, number) and 1 or 0
end

local function record_call(sender, number)
  if sender == '' then
    return
  end
  local highest, bits = read_calls(sender)
  for skipped = math.max(highest + 1, number - WINDOW + 1), number - 1 do
    bits = with_bit(bits, skipped, false)
  end
  local record = string.format('%.0f|', math.max(highest, number)) .. with_bit(bits, number, true)
  redis.call('SET', sender_calls(sender), record, 'PX', SENDER_TTL_MS)
end
