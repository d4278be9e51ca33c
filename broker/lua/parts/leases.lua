-- Leases of workers that fell silent, and of fetches whose answer got lost. Included by the operations.

-- Where a message goes whose worker died: first home, then to those that run alone, then home to be rejected.
local function charge_death(mid, flags, death)
  local all = B .. ':d'
  local deaths, lonely = string.match(redis.call('HGET', all, mid) or '0|0|', '^(%d+)|(%d+)|')
  deaths, lonely = deaths + 1, lonely + (flags == 'a' and 1 or 0)
  redis.call('HSET', all, mid, string.format('%d|%d|%s', deaths, lonely, death))
  redis.call('PEXPIRE', all, KEEP_MS)
  return is_suspect(deaths, lonely)
end

local function give_back(lease, mids_and_tokens, keep, death)
  local back = {}
  for i = 1, #mids_and_tokens, 2 do
    if not keep[mids_and_tokens[i]] then
      local number, since_ms, charged, interval_ms, _, flags = string.match(mids_and_tokens[i + 1], TOKEN)
      back[#back + 1] = {mid = mids_and_tokens[i], number = tonumber(number), since_ms = since_ms,
        charged = tonumber(charged), interval_ms = interval_ms, flags = flags}
    end
  end
  -- The last one leased goes to the head first, so that the first one ends up before it.
  table.sort(back, function(a, b) return a.number > b.number end)
  for _, each in ipairs(back) do
    local record = redis.call('HGET', B .. ':m', each.mid)
    redis.call('HDEL', lease, each.mid)
    if record then
      local queue, org, lane = header(record)
      if each.flags == 'a' and not death or death and each.flags ~= 'p' and charge_death(each.mid, each.flags, death) then
        redis.call('ZADD', B .. ':qx:' .. queue, each.since_ms, each.mid)
      else
        to_head(queue, org, lane, each.mid, each.since_ms)
      end
      if not death and each.interval_ms ~= '0' then
        refund_start(org, lane, tonumber(each.interval_ms))
      end
      correct(queue, org, -each.charged)
      add_outstanding(queue, -each.charged)
      local key = key_of(lane)
      free(org, 1, key and {[key] = 1} or {})
      wake(queue)
    end
  end
  return #back
end

local function strike_off(wid)
  redis.call('ZREM', B .. ':workers', wid)
  redis.call('HDEL', B .. ':wi', wid)
  redis.call('SREM', B .. ':quiet', wid)
end

-- One silent worker a call: it holds no more than its process had room for. Returns how many messages came back.
local function reclaim(silent_ms)
  local oldest = redis.call('ZRANGE', B .. ':workers', 0, 0, 'WITHSCORES')
  local beat_ms = tonumber(oldest[2])
  -- A score of 0: a supervisor said so.
  if oldest[1] and beat_ms < now - silent_ms and (beat_ms == 0 or redis.call('EXISTS', B .. ':up') == 0) then
    local wid = oldest[1]
    local lease, said = B .. ':lease:' .. wid, redis.call('GET', B .. ':dw:' .. wid)
    local back = give_back(lease, redis.call('HGETALL', lease), {}, said ~= 'stopped' and (said or 'silent') or nil)
    strike_off(wid)
    return back
  end
  return 0
end

-- Returns 1 when the worker was not on the list: it is new, or was taken for dead. Where nobody was heard for so long
-- that all would be taken for dead, the server itself was away: they get the time to say that they live.
local function beat(wid, silent_ms)
  local heard_ms = redis.call('SET', B .. ':heard', now, 'PX', DAY_MS, 'GET')
  if heard_ms and tonumber(heard_ms) < now - silent_ms then
    redis.call('SET', B .. ':up', now, 'PX', math.ceil(silent_ms / 2))
  end
  return redis.call('ZADD', B .. ':workers', now, wid)
end

-- Whether it is to fetch nothing for now.
local function is_quiet(wid)
  return redis.call('SISMEMBER', B .. ':quiet', wid)
end
