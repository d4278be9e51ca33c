-- Keeps dead letters; one that is there already stays as it is.
--
-- KEYS: base
-- DERIVED: <base>:entries (hash id -> letter), <base>:index (hash id -> what it counts under),
--   <base>:all, <base>:org:<org>, <base>:category:<category>:all, <base>:category:<category>:org:<org> (sorted by
--   cursor), <base>:counts:all, <base>:counts:org:<org> (hash "category:network" -> letters)
-- ARGV: keep_ms, then for each letter: id cursor org category index letter
-- Returns: how many were new.

local base, keep_ms = KEYS[1], ARGV[1]
local new = 0
local touched = {[base .. ':entries'] = true, [base .. ':index'] = true}

for at = 2, #ARGV, 6 do
  local id, cursor, org, category, index = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  if redis.call('HSETNX', base .. ':entries', id, ARGV[at + 5]) == 1 then
    new = new + 1
    redis.call('HSET', base .. ':index', id, index)
    local scopes = {'all'}
    if org ~= '' then scopes[2] = 'org:' .. org end
    for _, scope in ipairs(scopes) do
      local every, of_category = base .. ':' .. scope, base .. ':category:' .. category .. ':' .. scope
      local counts = base .. ':counts:' .. scope
      redis.call('ZADD', every, 0, cursor)
      redis.call('ZADD', of_category, 0, cursor)
      for name, value in pairs(cjson.decode(index).counted) do
        redis.call('HINCRBY', counts, name .. ':' .. value, 1)
      end
      touched[every], touched[of_category], touched[counts] = true, true, true
    end
  end
end

if new > 0 then
  for key in pairs(touched) do redis.call('PEXPIRE', key, keep_ms) end
end
return new
