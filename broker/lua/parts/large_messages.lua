-- Records that are large, and how large: so that what has to read some takes no more at once than a call may move.
-- NEEDS: keys budget

-- Smaller ones are not noted. A hundred of them are less than a mebibyte.
local LARGE_BYTES = 8 * 1024

local function note_size(message_id, record)
  if #record > LARGE_BYTES then
    redis.call('HSET', LARGE_MESSAGES, message_id, #record)
  end
end

local known_large = nil

-- Asked once a call.
local function any_large()
  if known_large == nil then
    known_large = redis.call('EXISTS', LARGE_MESSAGES) == 1
  end
  return known_large
end

-- The sizes of these messages, in bytes, false for those that are small; nil where none is large.
local function sizes_of(message_ids)
  if #message_ids > 0 and any_large() then
    return redis.call('HMGET', LARGE_MESSAGES, unpack(message_ids))
  end
end

-- How many of these messages, from the first on, may be read so that so many bytes are left; at least one. They are
-- taken as read.
local function readable(message_ids, reserved_bytes)
  local sizes = sizes_of(message_ids)
  if not sizes then
    spend(0, #message_ids * LARGE_BYTES / 8)
    return #message_ids
  end
  for i, size in ipairs(sizes) do
    local bytes = tonumber(size or LARGE_BYTES)
    if i > 1 and bytes_left - bytes < reserved_bytes then
      return i - 1
    end
    spend(0, bytes)
  end
  return #message_ids
end
