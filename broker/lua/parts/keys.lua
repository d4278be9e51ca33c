-- Every key of a shard, named once, with its type and what stands in it. `B` is the base key that all begin with; the
-- letters behind it are shared with running fleets and never change. More about each: broker/keys.py.
-- What one line defines is written out where it is used (broker/scripts.py), and costs nothing when a script is called.
-- NEEDS:

-- How long keys live that nothing else would remove.
local DAY_MS = 24 * 60 * 60 * 1000
local WEEK_MS = 7 * DAY_MS

-- Messages
local MESSAGES = B .. ':m' -- hash message_id -> record; every message that is not dead
local QUEUE_SIZES = B .. ':n' -- hash queue -> messages that are not dead
local ORG_SIZES = B .. ':no' -- hash org -> messages that are not dead, over all queues
local BYTES = B .. ':by' -- hash q:<queue> or o:<org> -> bytes of messages that are not dead and are counted so
local LARGE_MESSAGES = B .. ':mb' -- hash message_id -> bytes; of records that are large
local CRASHES = B .. ':d' -- hash message_id -> "<crashes>|<isolated crashes>|<last>"

-- Ready messages: lanes inside orgs inside a queue
local function lane_key(queue, org, lane) return B .. ':l:' .. queue .. ':' .. org .. ':' .. lane end -- list of entries
local function org_lanes(queue, org) return B .. ':ql:' .. queue .. ':' .. org end -- zset lane -> score; parts/lane_order.lua
local function actor_lanes(queue, org, actor) return B .. ':qk:' .. queue .. ':' .. org .. ':' .. actor end -- zset, likewise
local function ready_orgs(queue) return B .. ':qr:' .. queue end -- zset org -> virtual time; orgs that may run
local function waiting_since(queue) return B .. ':qa:' .. queue end -- zset org of qr -> since ms; of what it would run next
local function worked_by_age(queue) return B .. ':qy:' .. queue end -- string "<ms of work>|<ms of that by age>"
local function served_ahead(queue) return B .. ':qv:' .. queue end -- zset org -> virtual time; others, served ahead of it
local function virtual_time(queue) return B .. ':qt:' .. queue end -- string virtual time of the queue; it never falls
local function extra_weights(queue) return B .. ':qw:' .. queue end -- string weights beyond one each of orgs in qr, qv
local function outstanding_cost(queue) return B .. ':qc:' .. queue end -- string ms charged for what is leased
local function wake_tokens(queue) return B .. ':wake:' .. queue end -- list at most one token, for one waiting worker

-- Messages and lanes that may not run yet
local function delayed_messages(queue) return B .. ':qd:' .. queue end -- zset message_id -> due ms; delayed and parked
local function delayed_of_org(queue, org) return B .. ':qo:' .. queue .. ':' .. org end -- zset message_id -> due ms; of one org
local function due_orgs(queue) return B .. ':qn:' .. queue end -- zset org -> ms when it is checked for what is due
local function suspect_messages(queue) return B .. ':qx:' .. queue end -- zset message_id -> since ms; to be run in isolation
local function searched_suspects(queue) return B .. ':xs:' .. queue end -- string how many of them were searched in vain
local function quarantine_worker(queue) return B .. ':probe:' .. queue end -- string worker_id that makes itself idle for one
local function blocked_lanes(queue) return B .. ':qs:' .. queue end -- zset "<org>\n<actor>" -> ms it is blocked until
local function blocked_actors(queue) return B .. ':qb:' .. queue end -- zset actor -> ms; those whose gate has waiters
local function gate_waiters(queue, actor) return B .. ':qg:' .. queue .. ':' .. actor end -- zset org -> ms since it waits
local function org_waiters(org) return B .. ':b:' .. org end -- set "<queue>\n"; where the org waits for its own leases
local function key_waiters(org, key) return B .. ':bz:' .. org .. ':' .. key end -- zset "<queue>\n<lane>" -> score
local function old_key_waiters(org, key) return B .. ':bk:' .. org .. ':' .. key end -- set; of schema 1
local PARKED_CAUSES = B .. ':p' -- hash message_id -> "<cause>\n<key>"
local PARKED_COUNTS = B .. ':pn' -- hash "<queue>\n<kind>" -> parked messages
local function parked_under(key) return B .. ':pk:' .. key end -- set message_id

local TIMER_LEAD = B .. ':skew' -- string ms by which timers are ahead of the server's clock

-- Leases and limits
local function lease_key(worker_id) return B .. ':lease:' .. worker_id end -- hash message_id -> token
local LEASE_COUNTER = B .. ':seq' -- string number of the last lease
local LEASED_BY_QUEUE = B .. ':aq' -- hash queue -> leased messages
local LEASED_BY_ORG = B .. ':a' -- hash org -> leased messages
local LEASED_BY_KEY = B .. ':ak' -- hash "<org>\n<key>" -> leased messages with that concurrency key
local function next_start(org, actor) return B .. ':t:' .. org .. ':' .. actor end -- string ms, by the rate
local MEAN_RUNTIMES = B .. ':avg' -- hash actor -> ms

-- Workers
local WORKERS = B .. ':workers' -- zset worker_id -> last heartbeat ms
local WORKER_INFO = B .. ':wi' -- hash worker_id -> JSON
local QUIET_WORKERS = B .. ':quiet' -- set worker_id; they fetch nothing
local function worker_end(worker_id) return B .. ':dw:' .. worker_id end -- string "stopped", or what ended it
local LAST_HEARD = B .. ':heard' -- string ms; when any worker fetched or finished
local SERVER_BACK = B .. ':up' -- string ms; the server was away, and workers may report before any is taken for dead

-- Configuration
local ORG_SHARES = B .. ':o' -- hash org -> "<weight>|<max leased>"
local START_RATES = B .. ':r' -- hash actor -> "<interval ms>|<tolerance ms>"
local GATES = B .. ':g' -- hash gate -> JSON {source: [until ms, cause]}

-- The schema itself
local SCHEMA = B .. ':schema' -- string "<number> <release>"; see broker/schema.py

-- Senders
local function sender_calls(sender) return B .. ':s:' .. sender end -- string "<highest number>|<bits>" of its calls
local LATE_REPEATS = B .. ':late' -- string how many calls came again too late to know whether they had arrived

-- Dead letters
local function dead_letter_index(queue) return B .. ':xq:' .. queue end -- zset message_id -> ms of its death
local function dead_letter_records(queue) return B .. ':xm:' .. queue end -- hash message_id -> record
local function foreign_key(name) return B .. ':xk:' .. name end -- any type; a key of a wrong type, out of the way
