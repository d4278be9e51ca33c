-- Slots that leases hold: of their org, and of their concurrency key.
-- NEEDS: keys values counters lanes waiting

-- So many leases of an org ended; by_key says how many of those with a concurrency key.
local function release_slots(org, leases, by_key)
  count_down(LEASED_BY_ORG, org, leases)
  for key, number in pairs(by_key) do
    count_down(LEASED_BY_KEY, pair(org, key), number)
    admit_key_waiters(org, key)
  end
  readmit_org(org)
end

local function release_slot(org, lane)
  local key = concurrency_of(lane)
  release_slots(org, 1, key and {[key] = 1} or {})
end
