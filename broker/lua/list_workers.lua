-- Worker processes, and what each has leased. Reads only.
-- KEYS: base
-- DERIVED: base:m, base:workers, base:wi, base:quiet, base:lease:*
-- ARGV: nothing
-- Returns: JSON of the workers
-- NEEDS: keys values inspection
local workers = worker_facts()
for _, worker in ipairs(workers) do
  local leases = redis.call('HGETALL', lease_key(worker.id))
  worker.messages = {}
  for i = 1, #leases, 2 do
    local message_id, token = leases[i], leases[i + 1]
    local record = redis.call('HGET', MESSAGES, message_id)
    if record then
      local queue, org, lane = split_record(record)
      local message = {id = message_id, token = token, queue = queue, org = org, lane = lane}
      worker.messages[#worker.messages + 1] = message
    end
  end
end
return {now, cjson.encode(workers)}
