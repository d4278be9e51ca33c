-- A batch of worker processes, the longest silent first. Reads only.
-- KEYS: base
-- DERIVED: base:workers, base:wi, base:quiet, base:lease:*
-- ARGV: start max
-- Returns: JSON of the workers
-- NEEDS: inspection
return {now, cjson.encode(worker_facts(ARGV[1], ARGV[1] + ARGV[2] - 1))}
