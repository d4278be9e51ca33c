-- Counts in hashes, and sums that are written once a batch.
-- NEEDS:

-- What nothing is left of is removed.
local function count_down(hash, field, number)
  if redis.call('HINCRBY', hash, field, -number) <= 0 then
    redis.call('HDEL', hash, field)
  end
end

local function tally(totals, name, number)
  totals[name] = (totals[name] or 0) + number
end
