-- What is configured for an org: its weight, and how many of its messages may be leased. Included by the operations.

local known_shares = {}

local function share_of(org)
  local share = known_shares[org]
  if not share then
    local weight, most = string.match(redis.call('HGET', B .. ':o', org) or '1|', '^([^|]*)|(.*)$')
    share = {weight = tonumber(weight), most = tonumber(most)}
    known_shares[org] = share
  end
  return share
end

local function weight_of(org)
  return share_of(org).weight
end
