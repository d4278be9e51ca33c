-- What stands in keys and is not what this broker writes: after a call has failed, it is taken out of the way of the next
-- one, and becomes a dead letter with its bytes.
-- NEEDS: keys transaction

-- How long such letters are kept where the call does not say it.
local FOREIGN_TTL_MS = WEEK_MS

-- Looks through all that the failed call has read. Returns whether anything was taken out of the way.
local function remove_foreign()
  local removed, reading_queue = false, nil
  local MAX_NAME, MAX_BYTES = 200, 4 * 1024 * 1024

  local TYPES = {m = 'hash', mb = 'hash', by = 'hash', n = 'hash', no = 'hash', d = 'hash', p = 'hash', pn = 'hash', a = 'hash',
    ak = 'hash', aq = 'hash', avg = 'hash', wi = 'hash', o = 'hash', r = 'hash', g = 'hash', lease = 'hash', xm = 'hash',
    l = 'list', wake = 'list', ql = 'zset', qk = 'zset', qb = 'zset', qg = 'zset', bz = 'zset', qr = 'zset', qv = 'zset',
    qd = 'zset', qo = 'zset', qn = 'zset', qa = 'zset', qs = 'zset', qx = 'zset', workers = 'zset', xq = 'zset', b = 'set', bk = 'set', pk = 'set', quiet = 'set',
    qt = 'string', qw = 'string', qy = 'string', qc = 'string', probe = 'string', t = 'string', dw = 'string', heard = 'string', up = 'string',
    seq = 'string', s = 'string', late = 'string', skew = 'string', xs = 'string'}

  local function is_number(text) return #text <= 30 and string.match(text, '^%-?%d+%.?%d*$') ~= nil end
  local function is_count(text) return #text <= 16 and string.match(text, '^%-?%d+$') ~= nil end
  local function is_pair(text) return string.find(text, '\n', 1, true) ~= nil end
  local function is_fraction(text) return tonumber(text) ~= nil and tonumber(text) >= 0 and tonumber(text) < 1e15 end

  local function is_share(text)
    local weight, max = string.match(text, '^([^|]*)|(%d*)$')
    return weight ~= nil and #max <= 16 and is_fraction(weight) and tonumber(weight) > 0
  end

  local function is_rate(text)
    local interval_ms, tolerance_ms = string.match(text, '^([^|]*)|([^|]*)$')
    return interval_ms ~= nil and is_fraction(interval_ms) and is_fraction(tolerance_ms)
  end

  local function is_gate(text)
    local readable, blocks = pcall(cjson.decode, text)
    if not readable or type(blocks) ~= 'table' then
      return false
    end
    for source, block in pairs(blocks) do
      if type(source) ~= 'string' or type(block) ~= 'table' or type(block[1]) ~= 'number' or block[1] ~= block[1] then
        return false
      end
    end
    return true
  end

  local function is_token(text)
    local number, since_ms, charged_ms, interval_ms, leased_ms =
      string.match(text, '^(%d+)|(%d+)|([^|]*)|([^|]*)|(%d+)|[^\n]*$')
    return number ~= nil and #number + #since_ms + #leased_ms <= 48 and is_number(charged_ms) and is_fraction(interval_ms)
  end

  local function is_entry(text)
    local since_ms = string.match(text, '^(%d+)|.')
    return since_ms ~= nil and #since_ms <= 16
  end

  local function is_lane(text)
    local priority = string.match(text, '^[^:\n|]*:(%-?%d+)$') or string.match(text, '^[^:\n|]*:(%-?%d+):[^:]*:%d+$')
    return priority ~= nil and #priority <= 16
  end

  -- By the letters of a key: whether a value of it may stand there.
  local READABLE = {
    m = function(text) return string.match(text, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n') ~= nil end,
    d = function(text) return string.match(text, '^%d+|%d+|') ~= nil end,
    n = is_count, no = is_count, by = is_count, pn = is_count, a = is_count, ak = is_count, aq = is_count, mb = is_count,
    avg = is_fraction, p = is_pair, o = is_share, r = is_rate, g = is_gate, lease = is_token, l = is_entry, ql = is_lane,
    qk = is_lane, qs = is_pair, b = is_pair, bk = is_pair, bz = is_pair, qt = is_number, qc = is_number, qw = is_number, qy = is_rate, t = is_number,
    heard = is_number, up = is_number, seq = is_count, late = is_count, xs = is_count, skew = is_number,
    s = function(text) return #text <= 160 and string.match(text, '^%d+|') ~= nil end
  }

  local function split_key(key) return string.match(string.sub(key, #MESSAGES), '^(%w+):?(.*)$') end

  local function make_room(key, kind)
    local found = redis.pcall('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      local name = string.format('%.0f', now) .. ':' .. string.sub(key, #MESSAGES)
      local kept = foreign_key(name)
      redis.pcall('RENAME', key, kept)
      redis.pcall('PEXPIRE', kept, letter_ttl_ms)
    end
  end

  local function add_letter(queue, name, bytes)
    local index, records = dead_letter_index(queue), dead_letter_records(queue)
    make_room(index, 'zset')
    make_room(records, 'hash')
    local record = queue .. '\n\n?:0\n\n' .. bytes
    name = string.sub(name, 1, MAX_NAME)
    if redis.pcall('HGET', records, name) == record then
      return
    end
    if redis.pcall('HSETNX', records, name, record) == 0 then
      name = name .. '~' .. string.format('%.0f', now)
      redis.pcall('HSET', records, name, record)
    end
    redis.pcall('ZADD', index, now, name)
    redis.pcall('PEXPIRE', index, letter_ttl_ms)
    redis.pcall('PEXPIRE', records, letter_ttl_ms)
  end

  local function queue_of(letters, rest)
    if letters == 'l' or letters == 'ql' or letters == 'qk' or letters == 'qg' or letters == 'qo' then
      return string.match(rest, '^([^:]*):')
    elseif string.match(letters, '^[qx].$') then
      return rest
    end
  end

  local function name_of(letters, rest, member) return letters .. ':' .. rest .. (member and ':' .. member or '') end

  -- A key of another type is renamed: it may be of any size.
  local function move_key(key, letters, rest, kind)
    local name = string.format('%.0f', now) .. ':' .. name_of(letters, rest)
    local kept = foreign_key(name)
    local bytes = kind == 'string' and redis.pcall('STRLEN', key) <= MAX_BYTES and redis.pcall('GET', key)
      or 'a ' .. kind .. ' stood in the place of a ' .. TYPES[letters] .. '; it is kept as ' .. kept
    if redis.pcall('RENAME', key, kept).ok then
      redis.pcall('PEXPIRE', kept, letter_ttl_ms)
      add_letter(queue_of(letters, rest) or reading_queue or 'default', name_of(letters, rest), bytes)
      removed = true
    end
  end

  local function remove_record(queue, message_id, record)
    add_letter(queue, message_id, record)
    redis.pcall('HDEL', MESSAGES, message_id)
    redis.pcall('HDEL', CRASHES, message_id)
    redis.pcall('HDEL', PARKED_CAUSES, message_id)
    if redis.pcall('HEXISTS', QUEUE_SIZES, queue) == 1 and redis.pcall('HINCRBY', QUEUE_SIZES, queue, -1) == 0 then
      redis.pcall('HDEL', QUEUE_SIZES, queue)
    end
  end

  local REMOVALS = {hash = 'HDEL', zset = 'ZREM', set = 'SREM'}

  -- The message of a lane's entry or of a lease, which may be whole, keeps its place.
  local function remove_value(key, letters, rest, member, value)
    local queue = queue_of(letters, rest) or reading_queue or 'default'
    removed = true
    if letters == 'm' then
      remove_record(string.match(value, '^([%w._-]+)\n') or queue, member, value)
      return
    end
    add_letter(queue, name_of(letters, rest, member), value)
    if letters == 'l' then
      local message_id = string.match(value, '|(.*)$') or value
      redis.pcall('LREM', key, 1, value)
      if redis.pcall('HEXISTS', MESSAGES, message_id) == 1 then
        redis.pcall('RPUSH', key, string.format('%.0f|%s', now, message_id))
      end
    elseif letters == 'lease' and redis.pcall('HEXISTS', MESSAGES, member) == 1 then
      redis.pcall('HSET', key, member, string.format('0|%.0f|0|0|%.0f|', now, now))
    elseif TYPES[letters] == 'string' then
      redis.pcall('DEL', key)
    else
      redis.pcall(REMOVALS[TYPES[letters]], key, member)
    end
  end

  local function check(key, letters, rest, member, value)
    if type(value) == 'string' and not READABLE[letters](value) then
      remove_value(key, letters, rest, member, value)
    end
  end

  local function check_string(key, letters, rest, entry)
    local replaced = entry[2] == 'SET' and entry[#entry] == 'GET' and entry[1]
    if type(replaced) == 'string' and not READABLE[letters](replaced) then
      add_letter(reading_queue or 'default', name_of(letters, rest), replaced)
      removed = true
    end
    check(key, letters, rest, nil, redis.pcall('GET', key))
  end

  -- Fields of a hash that a command named or answered.
  local function check_hash(key, letters, rest, entry)
    local reply, name = entry[1], entry[2]
    if name == 'HGETALL' and not reply.err then
      for i = 1, #reply, 2 do
        check(key, letters, rest, reply[i], reply[i + 1])
      end
    elseif name == 'HMGET' or name == 'HDEL' then
      for i = 4, #entry do
        check(key, letters, rest, entry[i], redis.pcall('HGET', key, entry[i]))
      end
    elseif entry[4] then
      check(key, letters, rest, entry[4], redis.pcall('HGET', key, entry[4]))
    end
  end

  -- What a command answered of a list, a set or a sorted set.
  local function check_members(key, letters, rest, entry)
    local reply = entry[1]
    local members = type(reply) == 'table' and reply or {reply or nil}
    local step = entry[#entry] == 'WITHSCORES' and 2 or 1
    for _, word in ipairs(entry) do
      step = word == 'WITHSCORES' and 2 or step
    end
    for i = 1, #members, step do
      check(key, letters, rest, members[i], members[i])
    end
  end

  for at = commands, 1, -1 do
    local letters, rest = split_key(tostring(done[at][3] or ''))
    reading_queue = letters and queue_of(letters, rest) or reading_queue
  end
  for at = 1, commands do
    local entry = done[at]
    local key = entry[3]
    local letters, rest = nil, nil
    if type(key) == 'string' and string.sub(key, 1, #MESSAGES - 1) == string.sub(MESSAGES, 1, -2) then
      letters, rest = split_key(key)
    end
    local wanted = letters and TYPES[letters]
    local kind = wanted and redis.pcall('TYPE', key).ok
    if wanted and kind ~= 'none' and kind ~= wanted then
      move_key(key, letters, rest, kind)
    elseif wanted and kind ~= 'none' and READABLE[letters] then
      if wanted == 'hash' then
        check_hash(key, letters, rest, entry)
      elseif wanted == 'string' then
        check_string(key, letters, rest, entry)
      else
        check_members(key, letters, rest, entry)
      end
    end
  end
  return removed
end
