-- Gives the mark of a running tick back, if the holder has it.
-- KEYS: run
-- ARGV: holder
-- Returns: 1 when it was given back
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
