-- Replaces the shares of all orgs. Orgs whose number of leases has changed may run again at once.
-- KEYS: base
-- DERIVED: base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:wake:*,
--          base:o, base:b:*, base:n, base:qw:*, base:qa:*
-- ARGV: any number of times: org weight max; max is empty where the default holds
-- Returns: how many orgs changed
-- NEEDS: keys virtual_clock lanes
local wanted, changed = {}, {}

local function weight_in(share) return tonumber(string.match(share or '1|', '^([^|]*)')) end

-- Where the org competes, its weight counts.
local function weigh_anew(org, old, new)
  local more = weight_in(new) - weight_in(old)
  for _, queue in ipairs(more ~= 0 and redis.call('HKEYS', QUEUE_SIZES) or {}) do
    if redis.call('ZSCORE', ready_orgs(queue), org) or redis.call('ZSCORE', served_ahead(queue), org) then
      add_weight(queue, more)
    end
  end
end

for i = 1, #ARGV, 3 do
  wanted[ARGV[i]] = ARGV[i + 1] .. '|' .. ARGV[i + 2]
end
local known = redis.call('HGETALL', ORG_SHARES)
for i = 1, #known, 2 do
  local org, share = known[i], known[i + 1]
  if wanted[org] == share then
    wanted[org] = nil
  else
    changed[#changed + 1] = org
    weigh_anew(org, share, wanted[org])
    if wanted[org] then
      redis.call('HSET', ORG_SHARES, org, wanted[org])
      wanted[org] = nil
    else
      redis.call('HDEL', ORG_SHARES, org)
    end
  end
end
for org, share in pairs(wanted) do
  redis.call('HSET', ORG_SHARES, org, share)
  changed[#changed + 1] = org
  weigh_anew(org, nil, share)
end
for _, org in ipairs(changed) do
  readmit_org(org)
end
return #changed
