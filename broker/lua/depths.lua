-- How many messages of each queue are where, and since when the oldest waits that may run. Reads only.
-- KEYS: base
-- DERIVED: base:n, base:ql:*, base:qr:*, base:qd:*, base:qx:*, base:aq, base:pn, base:xq:*
-- ARGV: org, then queues; the org `|` counts all orgs' messages, of another only its oldest is returned
-- Returns: {now, JSON of the queues, and how many are parked by queue and kind}
-- NEEDS: keys inspection
local only_org, rows = ARGV[1], {}
for i = 2, #ARGV do
  local queue = ARGV[i]
  local row = {queue = queue, oldest = oldest_since(queue, only_org)}
  if only_org == ANY_ORG then
    row.all = redis.call('HGET', QUEUE_SIZES, queue) or '0'
    row.leased = redis.call('HGET', LEASED_BY_QUEUE, queue) or '0'
    row.delayed = redis.call('ZCARD', delayed_messages(queue))
    row.suspects = redis.call('ZCARD', suspect_messages(queue))
    row.dead = redis.call('ZCARD', dead_letter_index(queue))
  end
  rows[#rows + 1] = row
end
return {now, cjson.encode(rows), only_org == ANY_ORG and redis.call('HGETALL', PARKED_COUNTS) or {}}
