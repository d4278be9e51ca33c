-- Drops a portion of a queue's messages: ready, delayed, leased and dead.
-- KEYS: base
-- DERIVED: base:m, base:n, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:wake:*, base:workers,
--          base:lease:*, base:xq:*, base:xm:*
-- ARGV: queue most
-- Returns: how many messages were dropped; 0 when none is left
-- INCLUDE: lanes
local queue, most, mids = ARGV[1], tonumber(ARGV[2]), {}

local function note(entries, pattern)
  for _, entry in ipairs(entries) do
    mids[#mids + 1] = pattern and string.match(entry, pattern) or entry
  end
end

local ready = B .. ':qr:' .. queue
local org = redis.call('ZRANGE', ready, 0, 0)[1]
if org then
  local lanes = B .. ':ql:' .. queue .. ':' .. org
  local lane = redis.call('ZRANGE', lanes, 0, 0)[1]
  if lane then
    local key = lane_key(queue, org, lane)
    note(redis.call('LPOP', key, most) or {}, '^%d+|(.*)$')
    if redis.call('EXISTS', key) == 0 then
      redis.call('ZREM', lanes, lane)
    end
  end
  if redis.call('EXISTS', lanes) == 0 then
    redis.call('ZREM', ready, org)
  end
else
  local delayed = B .. ':qd:' .. queue
  note(redis.call('ZRANGE', delayed, 0, most - 1))
  if #mids > 0 then
    redis.call('ZREM', delayed, unpack(mids))
  else
    for _, wid in ipairs(redis.call('ZRANGE', B .. ':workers', 0, -1)) do
      local lease = B .. ':lease:' .. wid
      for _, mid in ipairs(redis.call('HKEYS', lease)) do
        local record = redis.call('HGET', B .. ':m', mid)
        if not record or header(record) == queue then
          redis.call('HDEL', lease, mid)
          mids[#mids + 1] = mid
        end
      end
    end
    redis.call('DEL', B .. ':xq:' .. queue, B .. ':xm:' .. queue, B .. ':wake:' .. queue,
      B .. ':qc:' .. queue)
  end
end
if #mids > 0 then
  local dropped = redis.call('HDEL', B .. ':m', unpack(mids))
  if redis.call('HINCRBY', B .. ':n', queue, -dropped) <= 0 then
    redis.call('HDEL', B .. ':n', queue)
  end
end
return #mids
