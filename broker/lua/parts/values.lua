-- What stands in keys, and how it is read. What one line defines is written out where it is used (broker/scripts.py).
-- NEEDS:

-- Two names in one value, as in "<org>\n<lane>".
local function pair(first, second) return first .. '\n' .. second end
local function split_pair(value) return string.match(value, '^([^\n]*)\n(.*)$') end

-- A record: "<queue>\n<org>\n<lane>\n<enqueue id>\n<encoded message>". The names in one that is missing are empty.
local function split_record(record) return string.match(record or '\n\n\n', '^([^\n]*)\n([^\n]*)\n([^\n]*)\n') end
local function enqueue_id_of(record) return string.match(record, '^[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)\n') end

-- A message goes by its own id; a second copy, enqueued while the first has not ended, by a name of its own.
local function copy_name(message_id, enqueue_id) return message_id .. '~' .. enqueue_id end
local function is_copy_of(name, message_id) return string.match(name, '^[^~]*') == message_id end

-- An entry of a lane: "<since ms>|<message id>".
local function split_entry(entry) return string.match(entry, '^(%d+)|(.*)$') end
local function since_of(entry) return string.match(entry, '^(%d+)|') end

-- A lane: "<actor>:<priority>", or "<actor>:<priority>:<concurrency key>:<max leased>". `concurrency_of` is nil for those
-- without a key.
local function actor_of(lane) return string.match(lane, '^([^:]*):') end
local function priority_of(lane) return string.match(lane, '^[^:]*:(%-?%d+)') end
local function is_lane(name) return string.find(name, ':', 1, true) end
local function concurrency_of(lane) return string.match(lane, '^[^:]*:%-?%d+:([^:]*):(%d+)$') end

-- Beside the rates of actors: this one's has changed, and lanes may still wait for the old one.
local function changed_rate(actor) return '\n' .. actor end

-- A token: "<number>|<since ms>|<charged ms>|<rate interval ms>|<leased ms>|<virtual time>|b<counted bytes>|<flag>"; the
-- time is its org's with that charge. Those of release 0.1.0 have neither time nor bytes.
local function split_token(token) return string.match(token, '^(%d+)|(%d+)|([^|]*)|([^|]*)|(%d+)|') end
local function charged_ms_of(token) return tonumber(string.match(token, '^%d+|%d+|([^|]*)|')) end
local function charged_at_of(token) return tonumber(string.match(token, '^%d+|%d+|[^|]*|[^|]*|%d+|([^|]*)|') or '0') end
local function flag_of(token) return string.match(token, '([^|]*)$') end

-- What is charged, the virtual time, the counted bytes and the flag of a token: of most, read at once.
local function read_token(token)
  local charged_ms, charged_at, bytes, flag = string.match(token, '^%d+|%d+|([^|]*)|[^|]*|%d+|([^|]*)|b(%d+)|([^|]*)$')
  if charged_ms then
    return tonumber(charged_ms), tonumber(charged_at), tonumber(bytes), flag
  end
  return charged_ms_of(token), charged_at_of(token), 0, flag_of(token)
end

-- A flag is empty, or one of these: the message runs in isolation; it crashed workers there too and runs no more; it went
-- before others by its age.
local ISOLATED = 'a'
local POISON = 'p'
local BY_AGE = 'o'

-- A step of priority is worth so much waiting.
local AGEING_MS = 1000

-- A lane runs by the age of its head.
local function lane_score(lane, since_ms)
  return tonumber(since_ms) + AGEING_MS * tonumber(priority_of(lane))
end
