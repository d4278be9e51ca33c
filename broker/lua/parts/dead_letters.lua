-- Dead letters: of messages of ours, and of those that come from elsewhere.
-- NEEDS: keys values budget

-- Each that comes removes so many that are too old, as far as there are.
local MAX_REMOVED = 4

local function expire_dead_letters(queue, ttl_ms)
  redis.call('PEXPIRE', dead_letter_index(queue), ttl_ms)
  redis.call('PEXPIRE', dead_letter_records(queue), ttl_ms)
end

local function dead_letter(queue, message_id, ttl_ms)
  local record = redis.call('HGET', MESSAGES, message_id)
  if not record then
    return
  end
  local index, records = dead_letter_index(queue), dead_letter_records(queue)
  local old = redis.call('ZRANGEBYSCORE', index, '-inf', now - ttl_ms, 'LIMIT', 0, MAX_REMOVED)
  if #old > 0 then
    redis.call('ZREM', index, unpack(old))
    redis.call('HDEL', records, unpack(old))
  end
  redis.call('ZADD', index, now, message_id)
  redis.call('HSET', records, message_id, record)
  spend(0, 2 * #record)
  expire_dead_letters(queue, ttl_ms)
end

-- Of two with one id the second one goes by a name of its own.
local function import_dead_letter(queue, message_id, enqueue_id, record, since_ms, ttl_ms)
  local records, name = dead_letter_records(queue), message_id
  if redis.call('HSETNX', records, name, record) == 0 then
    name = copy_name(message_id, enqueue_id)
    redis.call('HSET', records, name, record)
  end
  redis.call('ZADD', dead_letter_index(queue), string.format('%.0f', since_ms), name)
  expire_dead_letters(queue, ttl_ms)
end

-- Bytes that no encoder of ours wrote, whole. Of an id that has a letter already, only a record is kept besides.
local function keep_foreign(queue, message_id, bytes, is_record)
  local index, records, name = dead_letter_index(queue), dead_letter_records(queue), message_id
  if redis.call('HEXISTS', records, name) == 1 then
    if not is_record then
      return
    end
    name = message_id .. '~' .. string.format('%.0f', now)
  end
  redis.call('HSET', records, name, queue .. '\n\n?:0\n\n' .. bytes)
  redis.call('ZADD', index, now, name)
  expire_dead_letters(queue, letter_ttl_ms)
end
