-- One page of an index, newest first, with what its attempts are.
-- KEYS: index
-- DERIVED: <base>attempt:<id>, a hash
-- ARGV: base below limit
-- Returns: {member, body or false, member, body or false, ...}
local page = {}
for _, member in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[2], '-', 'LIMIT', 0, ARGV[3])) do
  page[#page + 1] = member
  page[#page + 1] = redis.call('HGET', ARGV[1] .. 'attempt:' .. string.sub(member, 18), 'body')
end
return page
