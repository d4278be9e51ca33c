-- Every command of a call, so that a call that fails half-way takes back what it wrote. What stood there before is known
-- by what the call has read or written itself; that is why scripts read what they remove. What nothing depends on stays
-- as it is: times to live, virtual times, numbers of leases, heartbeats.
-- NEEDS:

-- Of each command: its answer, its name, its arguments.
local done, commands = {}, 0

local run, kind_of = redis.pcall, type

local function call(...)
  local reply = run(...)
  commands = commands + 1
  done[commands] = {reply, ...}
  if kind_of(reply) == 'table' and reply.err then
    error(reply.err, 0)
  end
  return reply
end

local function restart()
  done, commands = {}, 0
end

local function take_back()
  local FLAGS = {NX = true, XX = true, CH = true, GT = true, LT = true, INCR = true}

  local function has(entry, word)
    for i = 4, #entry do
      if entry[i] == word then
        return true
      end
    end
    return false
  end

  -- In every second of these, or in every one.
  local function value_in(list, from, step, member)
    for i = from, #list, step do
      if list[i] == member then
        return true, step == 2 and list[i + 1]
      end
    end
    return false
  end

  local function in_pairs(entry, member)
    local found, value = value_in(entry[1], 1, 2, member)
    return found, value
  end

  local function in_scores(entry, member)
    if has(entry, 'WITHSCORES') then
      return in_pairs(entry, member)
    end
    return false
  end

  local function is_removed(entry, member)
    return value_in(entry, 4, 1, member), false
  end

  -- What each command says of a field, member or key: whether it says anything, and what stood there; false for nothing.
  local KNOWN = {
    GET = function(entry) return true, entry[1] end,
    SET = function(entry) return true, entry[4] end,
    HGET = function(entry, field) return entry[4] == field, entry[1] end,
    ZSCORE = function(entry, member) return entry[4] == member, entry[1] end,
    LPOS = function(entry, member) return entry[4] == member, entry[1] end,
    HEXISTS = function(entry, field) return entry[4] == field and entry[1] == 0, false end,
    HSETNX = function(entry, field) return entry[4] == field and entry[1] == 1, entry[5] end,
    HSET = function(entry, field) return value_in(entry, 4, 2, field) end,
    HDEL = is_removed,
    ZREM = is_removed,
    ZPOPMIN = function(entry, member) return value_in(entry[1], 1, 2, member), false end,
    ZRANGE = in_scores,
    ZRANGEBYSCORE = in_scores,
    HGETALL = function(entry, field)
      local found, value = in_pairs(entry, field)
      return true, found and value
    end,
    HMGET = function(entry, field)
      for i = 4, #entry do
        if entry[i] == field then
          return true, entry[1][i - 3]
        end
      end
    end,
    ZMSCORE = function(entry, member)
      for i = 4, #entry do
        if entry[i] == member then
          return true, entry[1][i - 3]
        end
      end
    end,
    ZADD = function(entry, member) return entry[#entry] == member and not has(entry, 'INCR'), entry[#entry - 1] end
  }

  local function known(before, key, member)
    for i = before - 1, 1, -1 do
      local entry = done[i]
      local says = entry[3] == key and KNOWN[entry[2]]
      if says then
        local found, value = says(entry, member)
        if found then
          return true, value
        end
      end
    end
    return false
  end

  local function put_back(push, key, values)
    for i = #values, 1, -1 do
      redis.pcall(push, key, values[i])
    end
  end

  local function remove_set_members(at, entry)
    if entry[1] == #entry - 3 then
      redis.pcall('SREM', entry[3], unpack(entry, 4))
    end
  end

  local function add_set_members(at, entry)
    if entry[1] == #entry - 3 then
      redis.pcall('SADD', entry[3], unpack(entry, 4))
    end
  end

  local INVERSES = {
    HSETNX = function(at, entry)
      if entry[1] == 1 then
        redis.pcall('HDEL', entry[3], entry[4])
      end
    end,
    HSET = function(at, entry)
      local all_new = entry[1] == (#entry - 3) / 2
      for i = 4, #entry, 2 do
        local found, value = known(at, entry[3], entry[i])
        if found and value then
          redis.pcall('HSET', entry[3], entry[i], value)
        elseif found or all_new then
          redis.pcall('HDEL', entry[3], entry[i])
        end
      end
    end,
    HDEL = function(at, entry)
      for i = 4, #entry do
        local _, value = known(at, entry[3], entry[i])
        if value then
          redis.pcall('HSET', entry[3], entry[i], value)
        end
      end
    end,
    HINCRBY = function(at, entry)
      -- Counters that say nothing are not there.
      if redis.pcall('HINCRBY', entry[3], entry[4], -tonumber(entry[5])) == 0 then
        redis.pcall('HDEL', entry[3], entry[4])
      end
    end,
    INCRBYFLOAT = function(at, entry)
      redis.pcall('INCRBYFLOAT', entry[3], string.format('%.6f', -tonumber(entry[4])))
    end,
    ZADD = function(at, entry)
      local key, from = entry[3], 4
      while FLAGS[entry[from]] do
        from = from + 1
      end
      if has(entry, 'INCR') then
        if entry[1] then
          redis.pcall('ZADD', key, 'XX', 'INCR', string.format('%.6f', -tonumber(entry[from])), entry[from + 1])
        end
        return
      end
      local all_new = not has(entry, 'CH') and entry[1] == (#entry - from + 1) / 2
      for i = from, #entry, 2 do
        local found, score = known(at, key, entry[i + 1])
        if found and score then
          redis.pcall('ZADD', key, score, entry[i + 1])
        elseif found or all_new then
          redis.pcall('ZREM', key, entry[i + 1])
        end
      end
    end,
    ZREM = function(at, entry)
      for i = 4, #entry do
        local _, score = known(at, entry[3], entry[i])
        if score then
          redis.pcall('ZADD', entry[3], score, entry[i])
        end
      end
    end,
    ZPOPMIN = function(at, entry)
      for i = 1, #entry[1], 2 do
        redis.pcall('ZADD', entry[3], entry[1][i + 1], entry[1][i])
      end
    end,
    RPUSH = function(at, entry) redis.pcall('RPOP', entry[3], #entry - 3) end,
    LPUSH = function(at, entry) redis.pcall('LPOP', entry[3], #entry - 3) end,
    LPOP = function(at, entry) put_back('LPUSH', entry[3], type(entry[1]) == 'table' and entry[1] or {entry[1] or nil}) end,
    LINSERT = function(at, entry) redis.pcall('LREM', entry[3], 1, entry[6]) end,
    LREM = function(at, entry)
      local _, index = known(at, entry[3], entry[5])
      local following = entry[1] > 0 and index and redis.pcall('LINDEX', entry[3], index)
      if following then
        redis.pcall('LINSERT', entry[3], 'BEFORE', following, entry[5])
      elseif entry[1] > 0 then
        redis.pcall('RPUSH', entry[3], entry[5])
      end
    end,
    SADD = remove_set_members,
    SREM = add_set_members,
    SPOP = function(at, entry)
      if #entry[1] > 0 then
        redis.pcall('SADD', entry[3], unpack(entry[1]))
      end
    end,
    SET = function(at, entry)
      local found, value = known(at, entry[3])
      if found and value then
        redis.pcall('SET', entry[3], value, 'KEEPTTL')
      elseif found then
        redis.pcall('DEL', entry[3])
      end
    end,
    -- Sets and hashes whose members the call has read before.
    DEL = function(at, entry)
      for i = at - 1, 1, -1 do
        local earlier = done[i]
        local read = earlier[2] == 'SMEMBERS' and 'SADD' or earlier[2] == 'HGETALL' and 'HSET'
        if read and earlier[3] == entry[3] and #earlier[1] > 0 then
          redis.pcall(read, entry[3], unpack(earlier[1]))
          return
        end
      end
    end
  }

  for at = commands, 1, -1 do
    local entry = done[at]
    local inverse = INVERSES[entry[2]]
    if inverse and not (type(entry[1]) == 'table' and entry[1].err) then
      pcall(inverse, at, entry)
    end
  end
end
