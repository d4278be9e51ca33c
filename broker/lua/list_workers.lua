-- Worker processes, and what each has in hand. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:workers, base:wi, base:quiet, base:lease:*
-- ARGV: nothing
-- Returns: JSON of the workers
-- INCLUDE: lanes inspection
local workers = worker_facts()
for _, worker in ipairs(workers) do
  local leases = redis.call('HGETALL', B .. ':lease:' .. worker.id)
  worker.messages = {}
  for i = 1, #leases, 2 do
    local record = redis.call('HGET', B .. ':m', leases[i])
    if record then
      local queue, org, lane = header(record)
      local each = {id = leases[i], token = leases[i + 1], queue = queue, org = org, lane = lane}
      worker.messages[#worker.messages + 1] = each
    end
  end
end
return {now, cjson.encode(workers)}
