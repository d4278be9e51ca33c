-- Leaves a token for one of the workers that wait for a queue, or for one waiter alone.
-- KEYS: base
-- DERIVED: base:wake:*
-- ARGV: queue; for one waiter, what stands behind `wake:` in the name of its own list
-- Returns: nothing
-- NEEDS: wakeups
wake(ARGV[1])
