-- Messages whose workers crashed too often: they run in isolation, each in an idle process.
-- NEEDS: keys values budget large_messages gates leasing waiting

-- So many are searched at a time for one that may run, those first that wait longest. Where none of them may, the next
-- search goes on behind them.
local MAX_SEARCHED = 100
local COMMANDS_SEARCHED = 4
local SEARCH_TTL_MS = 60 * 1000
-- After so long it is worth while.
local SEARCH_AGAIN_MS = 50

-- The first that may run now: no gate blocks it, and its concurrency key has a slot. Only its org's limit does not hold
-- it back: behind a busy org it would wait for ever.
local function first_suspect(queue)
  local suspects, searched = suspect_messages(queue), searched_suspects(queue)
  local start = tonumber(redis.call('GET', searched) or '0')
  local most = affordable(COMMANDS_SEARCHED, MAX_SEARCHED)
  local oldest = redis.call('ZRANGE', suspects, start, start + most - 1, 'WITHSCORES')
  local message_ids = {}
  for i = 1, #oldest, 2 do
    message_ids[#message_ids + 1] = oldest[i]
  end
  local number = #message_ids > 0 and readable(message_ids, 0) or 0
  spend(COMMANDS_SEARCHED * number)
  for i = 1, 2 * number, 2 do
    local message_id, since_ms = oldest[i], oldest[i + 1]
    local record = redis.call('HGET', MESSAGES, message_id)
    if not record then
      redis.call('ZREM', suspects, message_id)
    else
      local _, org, lane = split_record(record)
      local key, max = concurrency_of(lane)
      local is_full = key and org ~= '' and leased_with_key(org, key) >= tonumber(max)
      if not is_full and not blocked_until(gates_of(queue, org, actor_of(lane))) then
        return {message_id = message_id, since_ms = since_ms, org = org, lane = lane, key = key}
      end
    end
  end
  if number == most or number < #message_ids then
    redis.call('SET', searched, start + number, 'PX', SEARCH_TTL_MS)
  elseif start > 0 then
    redis.call('DEL', searched)
  end
end

-- How long until more suspects are to be searched, where that is not done; else what it was.
local function search_again_ms(queue, due_ms)
  if redis.call('EXISTS', suspect_messages(queue)) == 0 or redis.call('EXISTS', searched_suspects(queue)) == 0 then
    return due_ms
  end
  return due_ms < 0 and SEARCH_AGAIN_MS or math.min(due_ms, SEARCH_AGAIN_MS)
end

-- Whether suspects that may run are waiting: 0 none, 1 some, 2 some, and this worker is to make itself idle for one.
local function check_suspects(queue, worker_id, may_be_chosen, chosen_for_ms)
  if redis.call('EXISTS', suspect_messages(queue)) == 0 or not first_suspect(queue) then
    return 0
  end
  local chosen = quarantine_worker(queue)
  local other = redis.call('GET', chosen)
  -- One that crashed by it is on the list no more.
  if may_be_chosen and (not other or other == worker_id or not redis.call('ZSCORE', WORKERS, other)) then
    redis.call('SET', chosen, worker_id, 'PX', chosen_for_ms)
    return 2
  end
  return 1
end

local function lease_suspect(queue, worker_id, reply)
  local suspect = first_suspect(queue)
  if suspect then
    redis.call('ZREM', suspect_messages(queue), suspect.message_id)
    redis.call('DEL', searched_suspects(queue))
    redis.call('HINCRBY', LEASED_BY_ORG, suspect.org, 1)
    if suspect.key then
      redis.call('HINCRBY', LEASED_BY_KEY, pair(suspect.org, suspect.key), 1)
    end
    suspect.cost_ms, suspect.interval_ms, suspect.time = 0, 0, 0
    lease_messages(queue, worker_id, {suspect}, ISOLATED, reply)
  end
end
