-- Makes messages ready, delayed or parked, unless a queue or an org is too full. All or nothing: what is refused is
-- refused before anything is written.
-- KEYS: base
-- DERIVED: base:m, base:n, base:no, base:l:*, base:ql:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qd:*, base:qs:*,
--          base:b:*, base:p, base:pn, base:pk:*, base:wake:*
-- ARGV: most_of_queue most_of_org more; 0 means any number, `more` is how many are still to come of the same queue and
--       count as well; then any number of times: message_id uniq delay_ms parked record; parked is "<cause>\n<key>",
--       empty for what is not
-- Returns: {} or, when too full, {queue, org, depth}; org is empty where the queue is too full
-- INCLUDE: lanes putting
local most_of_queue, most_of_org, more = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function too_full(hash, names, most)
  for name, number in pairs(names) do
    local depth = tonumber(redis.call('HGET', hash, name) or '0')
    if depth + number > most then
      return {name, depth}
    end
  end
end

if most_of_queue > 0 or most_of_org > 0 then
  local queues, orgs = {}, {}
  for i = 4, #ARGV, 5 do
    -- One that is here already was let in by a call whose answer got lost: it needs no room.
    if not is_here(ARGV[i], ARGV[i + 1]) then
      local queue, org = header(ARGV[i + 4])
      queues[queue] = (queues[queue] or more) + 1
      orgs[org] = (orgs[org] or 0) + 1
    end
  end
  local full = most_of_queue > 0 and too_full(B .. ':n', queues, most_of_queue)
  if full then
    return {full[1], '', full[2]}
  end
  full = most_of_org > 0 and too_full(B .. ':no', orgs, most_of_org)
  if full then
    return {header(ARGV[8]), full[1], full[2]}
  end
end
for i = 4, #ARGV, 5 do
  put(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 4], ARGV[i + 3])
end
count_in()
return {}
