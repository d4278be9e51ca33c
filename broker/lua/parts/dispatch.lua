-- What a fetch leases: first, as long as the share for age has credit, what has waited longest; the rest by fair share.
-- NEEDS: keys values age budget selection leasing large_messages

-- However long a queue had work of one kind only: no more credit than this is saved up, in milliseconds of work.
local MAX_CREDIT_MS = 1000
-- So many entries of a lane are read for one turn by age.
local MAX_ENTRIES = 8
-- So many orgs a fetch finds that are not ready any more: a process of release 0.1.0 has served them.
local MAX_STALE = 100

-- What may be given out by age yet. Where there is nobody to choose between, nothing is saved up.
local function age_credit(queue, age_share)
  local all_ms, by_age_ms = work_of(queue)
  local credit_ms = math.min(age_share * all_ms - by_age_ms, MAX_CREDIT_MS)
  if redis.call('ZCARD', waiting_since(queue)) < 2 then
    credit_ms = math.min(credit_ms, 0)
  end
  return credit_ms
end

-- Takes messages of an org that are no younger than the next org's, while there is credit. Returns what is left of that.
local function take_while_oldest(queue, org, younger_ms, room, age_share, credit_ms, costs, rules, taken)
  while credit_ms > 0 and #taken < room and org.slots > 0
    and (org.lane and not is_exhausted(org) or open_lane(queue, org, MAX_ENTRIES, rules))
    and tonumber(since_of(org.lane.entries[org.lane.taken + 1])) <= younger_ms
    and (#taken == 0 and bytes_left >= MIN_BYTES or size_of_next(org) <= rules.max_bytes) do
    rules.max_bytes = rules.max_bytes - size_of_next(org)
    local message = take_message(org, costs)
    message.by_age = true
    taken[#taken + 1] = message
    credit_ms = credit_ms - (1 - age_share) * message.work_ms
  end
  store_turns(queue, {org})
  return credit_ms
end

local function take_oldest(queue, room, rules, age_share, credit_ms, taken)
  local index, costs, in_vain, stale = waiting_since(queue), {}, 0, 0
  while credit_ms > 0 and #taken < room and in_vain < MAX_ROUNDS and stale < MAX_STALE
    and commands_left >= COMMANDS_OF_ORG + COMMANDS_OF_LANE do
    local oldest, before = redis.call('ZRANGE', index, 0, 1, 'WITHSCORES'), #taken
    if not oldest[3] then
      return 0
    end
    local time = redis.call('ZSCORE', ready_orgs(queue), oldest[1])
    local org = time and admit_org(queue, oldest[1], tonumber(time), rules)
    spend(COMMANDS_OF_ORG)
    if not time then
      redis.call('ZREM', index, oldest[1])
      stale = stale + 1
    else
      credit_ms = org and take_while_oldest(queue, org, tonumber(oldest[4]), room, age_share, credit_ms, costs, rules, taken)
        or credit_ms
      in_vain = #taken > before and 0 or in_vain + 1
    end
  end
  return credit_ms
end

-- The credit as work, and what is given out now besides.
local function store_credit(queue, age_share, credit_ms, taken)
  local all_ms, by_age_ms = math.max(0, credit_ms) / age_share, math.max(0, -credit_ms)
  for _, message in ipairs(taken) do
    all_ms = all_ms + (message.by_age and 0 or message.work_ms)
  end
  store_work(queue, all_ms, by_age_ms)
end

-- Leases up to `room` messages to a worker, of no more than so many bytes but for the first, and adds them to the reply.
local function lease_next(queue, worker_id, room, room_bytes, max_active, age_share, reply)
  local rules, taken, credit_ms = read_rules(max_active, room_bytes), {}, 0
  local elements_each = ELEMENTS_LEASED + (any_large() and 2 or 0)
  room = math.max(1, math.min(room, math.floor(elements_left / elements_each)))
  if age_share > 0 then
    credit_ms = age_credit(queue, age_share)
    credit_ms = take_oldest(queue, room, rules, age_share, credit_ms, taken)
  end
  for _ = 1, #taken < room and MAX_ROUNDS or 0 do
    local orgs, seen = admit_orgs(queue, affordable(COMMANDS_OF_ORG + COMMANDS_OF_LANE, room - #taken), rules)
    if seen == 0 then
      break
    end
    local asked = take_turns(queue, orgs, room, rules, taken)
    if #asked > 0 then
      store_turns(queue, asked)
    end
    if #taken >= room or commands_left < COMMANDS_OF_LANE then
      break
    end
  end
  if #taken > 0 then
    if age_share > 0 then
      store_credit(queue, age_share, credit_ms, taken)
    end
    lease_messages(queue, worker_id, taken, '', reply)
  end
end
