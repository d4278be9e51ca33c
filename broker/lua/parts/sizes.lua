-- Bytes that queues and orgs hold.
-- NEEDS: keys

-- Those of a record that has the mark: others came from a release that counts none.
local function counted_bytes(record) return string.find(record, '^[^\n]*\n[^\n]*\n[^\n]*\n%.') and #record or 0 end

-- A queue and an org hold so much more.
local function tally_bytes(changes, queue, org, bytes)
  if bytes ~= 0 then
    changes['q:' .. queue] = (changes['q:' .. queue] or 0) + bytes
    changes['o:' .. org] = (changes['o:' .. org] or 0) + bytes
  end
end

-- What was empty before, by the number of its messages, held no bytes; so what a release that counts none has left behind
-- is made good.
local function write_bytes(changes, was_empty)
  local fields, kept, gone = {}, {}, {}
  for field in pairs(changes) do
    fields[#fields + 1] = field
  end
  if #fields == 0 then
    return
  end
  local known = redis.call('HMGET', BYTES, unpack(fields))
  for i, field in ipairs(fields) do
    local bytes = (was_empty[field] and 0 or tonumber(known[i] or '0')) + changes[field]
    if bytes > 0 then
      kept[#kept + 1] = field
      kept[#kept + 1] = string.format('%.0f', bytes)
    elseif known[i] then
      gone[#gone + 1] = field
    end
  end
  if #kept > 0 then
    redis.call('HSET', BYTES, unpack(kept))
  end
  if #gone > 0 then
    redis.call('HDEL', BYTES, unpack(gone))
  end
end
