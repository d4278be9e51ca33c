-- The virtual time of a queue: what an org would have been served by now, by a weight of one, that had competed for the
-- queue all the time. It moves with work that was done, shared by the weights of those who compete, and with nothing that
-- is only estimated; so no refund moves it, and it never falls.
-- Generalised processor sharing: A. Parekh, R. Gallager, "A Generalized Processor Sharing Approach to Flow Control in
-- Integrated Services Networks" (IEEE/ACM Transactions on Networking 1, 1993).
-- NEEDS: keys shares budget

-- Orgs that join at one time stand so far apart, in the order in which they came.
local STEP_MS = 0.0001
-- So many orgs that a call has caught up with stop competing in between, by the virtual time at which they do.
local MAX_STEPS = 4
-- So many of them are removed a call. Of what is left only the weight beyond one counts, until the next call.
local MAX_PASSED = 50

local function queue_time(queue) return tonumber(redis.call('GET', virtual_time(queue)) or '0') end

local function set_queue_time(queue, time)
  redis.call('SET', virtual_time(queue), string.format('%.6f', time), 'PX', WEEK_MS)
end

-- Who waits or was served ahead of the queue's time competes for it. What is kept is by how much their weights differ from
-- their number.
local function add_weight(queue, extra)
  if extra ~= 0 then
    local key = extra_weights(queue)
    local sum = tonumber(redis.call('INCRBYFLOAT', key, string.format('%.6f', extra)))
    if math.abs(sum) < 0.0001 then
      redis.call('DEL', key)
    else
      redis.call('PEXPIRE', key, WEEK_MS)
    end
  end
end

-- Asked once a call.
local has_shares

local function extra_weight_of(org)
  if has_shares == nil then
    has_shares = redis.call('EXISTS', ORG_SHARES) == 1
  end
  return has_shares and share_of(org).weight - 1 or 0
end

-- Returns the time, and the weight of those who compete, after so much work: whom the time catches up with competes no more.
local function time_after(queue, time, work_ms, waiting, extra)
  local ahead = served_ahead(queue)
  for i = 1, MAX_STEPS do
    local later = string.format('(%.6f', time)
    local competing = waiting + redis.call('ZCOUNT', ahead, later, '+inf')
    -- What rounding leaves of weights may not make nothing of it.
    local weight = competing > 0 and math.max(competing + extra, competing / 100) or 1
    local due = time + work_ms / weight
    local following = i < MAX_STEPS and competing > waiting
      and tonumber(redis.call('ZRANGEBYSCORE', ahead, later, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2])
    if not following or due <= following then
      return due
    end
    work_ms = work_ms - (following - time) * weight
    time = following
  end
end

-- Forgets orgs ahead up to a time. They are read with it: a call that fails puts them back. Returns what their weights were
-- beyond their number.
local function forget_passed(queue, until_time)
  local ahead = served_ahead(queue)
  local passed = redis.call('ZRANGEBYSCORE', ahead, '-inf', until_time, 'WITHSCORES', 'LIMIT', 0, MAX_PASSED)
  local orgs, gone = {}, 0
  for i = 1, #passed, 2 do
    orgs[#orgs + 1] = passed[i]
    gone = gone + extra_weight_of(passed[i])
  end
  if #orgs > 0 then
    redis.call('ZREM', ahead, unpack(orgs))
    spend(has_shares and #orgs or 0, 0, 2 * #orgs)
    add_weight(queue, -gone)
  end
  return gone
end

-- A queue that was empty has work again: nobody owes anything from before. Shares that were changed while it was empty are
-- not in its weights yet.
local function begin_anew(queue)
  if redis.call('EXISTS', served_ahead(queue), extra_weights(queue)) == 0 then
    return
  end
  forget_passed(queue, '+inf')
  local extra = -tonumber(redis.call('GET', extra_weights(queue)) or '0')
  if redis.call('EXISTS', served_ahead(queue)) == 0 then
    for _, org in ipairs(redis.call('ZRANGE', ready_orgs(queue), 0, -1)) do
      extra = extra + extra_weight_of(org)
    end
    add_weight(queue, extra)
  end
end

-- So much work of a queue was done; `outstanding` is what is charged for leases of it that have not ended. Whoever comes
-- back from a limit with that has to come back before: where it was is forgotten now, if the clock has passed it.
local function advance(queue, work_ms, outstanding)
  local ready, time = ready_orgs(queue), queue_time(queue)
  local waiting = redis.call('ZCARD', ready)
  local extra = tonumber(redis.call('GET', extra_weights(queue)) or '0')
  extra = extra - forget_passed(queue, string.format('%.6f', time))
  time = time_after(queue, time, work_ms, waiting, extra)
  if waiting == 0 and outstanding <= 0 then
    -- All is done, as it is in the ideal then: nobody owes anything, and nobody is owed.
    forget_passed(queue, '+inf')
  end
  set_queue_time(queue, time)
end
