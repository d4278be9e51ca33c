-- Where messages stand that are not due yet: in one set of their queue, for whoever looks into it, and in one of their org,
-- from which they become due; so no org's are before another's.
-- NEEDS: keys

local function index_delay(queue, org, message_id, due_ms)
  redis.call('ZADD', delayed_of_org(queue, org), due_ms, message_id)
  redis.call('ZADD', due_orgs(queue), 'LT', due_ms, org)
end

-- Messages of an org that were taken from their queue's set, or never stood there. What is removed is read before: a call
-- that fails puts it back.
local function unindex_delays(queue, org, message_ids)
  local delayed = delayed_of_org(queue, org)
  if redis.call('EXISTS', delayed) == 0 then
    return
  end
  redis.call('ZMSCORE', delayed, unpack(message_ids))
  redis.call('ZREM', delayed, unpack(message_ids))
  if redis.call('EXISTS', delayed) == 0 then
    redis.call('ZSCORE', due_orgs(queue), org)
    redis.call('ZREM', due_orgs(queue), org)
  end
end
