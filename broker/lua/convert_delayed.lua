-- Of a batch of what schema 1 has delayed, adds each to the messages of its org. What is there already stays as it is.
-- KEYS: base
-- DERIVED: base:m, base:mb, base:n, base:qd:*, base:qo:*, base:qn:*
-- ARGV: cursor max; the cursor is empty at the start, then "<from ms>\n<skip>\n<queue>": so many due at from_ms were read
-- Returns: the next cursor; empty when all was read
-- NEEDS: keys values large_messages delays
local MAX = 200
local from_ms, skip, current = string.match(ARGV[1], '^([^\n]*)\n(%d+)\n(.*)$')
local max = math.min(MAX, tonumber(ARGV[2]))
local queues = redis.call('HKEYS', QUEUE_SIZES)
table.sort(queues)

-- The first queue of that name or later, and the one that follows it.
local queue, following
for _, name in ipairs(queues) do
  if queue and not following then
    following = name
  elseif not queue and (not current or name >= current) then
    queue = name
  end
end
if not queue then
  return ''
end
if queue ~= current then
  from_ms, skip = '-inf', '0'
end

local due = redis.call('ZRANGEBYSCORE', delayed_messages(queue), from_ms, '+inf', 'WITHSCORES', 'LIMIT', skip, max)
local found, message_ids = {}, {}
for i = 1, #due, 2 do
  found[#found + 1] = due[i]
end
for i = 1, #found > 0 and readable(found, 0) or 0 do
  message_ids[i] = found[i]
end
local records = #message_ids > 0 and redis.call('HMGET', MESSAGES, unpack(message_ids)) or {}
local at_once = tonumber(skip)
for i, message_id in ipairs(message_ids) do
  local due_ms = due[2 * i]
  at_once = due_ms == from_ms and at_once + 1 or 1
  from_ms = due_ms
  if records[i] then
    local _, org = split_record(records[i])
    index_delay(queue, org, message_id, due_ms)
  end
end
if #message_ids == max or #message_ids < #found then
  return from_ms .. '\n' .. at_once .. '\n' .. queue
end
return following and '-inf\n0\n' .. following or ''
