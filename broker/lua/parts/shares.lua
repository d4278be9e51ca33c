-- What is configured for an org: its weight, and how many of its messages may be leased.
-- NEEDS: keys

local known_shares = {}

local function share_of(org)
  local share = known_shares[org]
  if not share then
    local weight, max = string.match(redis.call('HGET', ORG_SHARES, org) or '1|', '^([^|]*)|(.*)$')
    share = {weight = tonumber(weight), max = tonumber(max)}
    known_shares[org] = share
  end
  return share
end
