-- Has the bytes of a batch of messages counted that are of a release which counted none: each gets the mark. Run again, it
-- changes nothing; workers and senders may go on meanwhile.
-- KEYS: base
-- DERIVED: base:m, base:by
-- ARGV: cursor max; the cursor is empty at the beginning
-- Returns: the next cursor, empty at the end
-- NEEDS: keys values sizes
local MAX_READ = 25 -- messages may be large
local found = redis.call('HSCAN', MESSAGES, ARGV[1] == '' and '0' or ARGV[1], 'COUNT', math.min(MAX_READ, ARGV[2]))
local bytes, seen = {}, found[2]
for i = 1, #seen, 2 do
  local message_id = seen[i]
  local record = redis.call('HGET', MESSAGES, message_id)
  local header, rest = string.match(record, '^([^\n]*\n[^\n]*\n[^\n]*\n)([^.].*)$')
  if header then
    local queue, org = split_record(record)
    redis.call('HSET', MESSAGES, message_id, header .. '.' .. rest)
    tally_bytes(bytes, queue, org, #record + 1)
  end
end
write_bytes(bytes, {})
return found[1] ~= '0' and found[1] or ''
