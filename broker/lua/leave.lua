-- Takes a worker off the list that has nothing leased any more.
-- KEYS: base
-- DERIVED: base:workers, base:wi, base:quiet, base:lease:*
-- ARGV: worker_id
-- Returns: 1 when it was taken off
-- NEEDS: keys workers
if redis.call('EXISTS', lease_key(ARGV[1])) == 1 then
  return 0
end
return remove_worker(ARGV[1])
