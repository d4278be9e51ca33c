-- Replaces the shares of all orgs. Orgs whose number of leases has changed may run again at once.
-- KEYS: base
-- DERIVED: base:l:*, base:ql:*, base:qk:*, base:qr:*, base:qv:*, base:qt:*, base:qc:*, base:qs:*, base:wake:*, base:o,
--          base:b:*
-- ARGV: any number of times: org weight max; max is empty where the default holds
-- Returns: how many orgs changed
-- NEEDS: keys lanes
local wanted, changed = {}, {}
for i = 1, #ARGV, 3 do
  wanted[ARGV[i]] = ARGV[i + 1] .. '|' .. ARGV[i + 2]
end
local known = redis.call('HGETALL', ORG_SHARES)
for i = 1, #known, 2 do
  local org, share = known[i], known[i + 1]
  if wanted[org] ~= share then
    changed[#changed + 1] = org
    if not wanted[org] then
      redis.call('HDEL', ORG_SHARES, org)
    end
  else
    wanted[org] = nil
  end
end
for org, share in pairs(wanted) do
  redis.call('HSET', ORG_SHARES, org, share)
  changed[#changed + 1] = org
end
for _, org in ipairs(changed) do
  readmit_org(org)
end
return #changed
