"""All that a shard holds, at one moment, read straight from its keys."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import redis

#: On a server that nobody else uses. Keys expire by the clock of the shard: what the server's own clock took of their
#: time since the last look is given back, and a little to those that might be gone a moment too early. Tokens stay.
_DUMP: Final = """
local all, time = {}, redis.call('TIME')
local real_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local took_ms = real_ms - tonumber(redis.call('GET', KEYS[1] .. ':looked') or real_ms)
redis.call('SET', KEYS[1] .. ':looked', string.format('%.0f', real_ms))
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. ':*')) do
  local kind, left, value = redis.call('TYPE', key).ok, redis.call('PTTL', key), nil
  if string.find(key, ':wake:', 1, true) then
    redis.call('PEXPIRE', key, 60000)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left + took_ms + (string.find(key, ':t:', 1, true) and 50 or 0))
  end
  if kind == 'hash' then
    value = redis.call('HGETALL', key)
  elseif kind == 'zset' then
    value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then
    value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then
    value = redis.call('SMEMBERS', key)
    table.sort(value)
  else
    value = redis.call('GET', key)
  end
  if key ~= KEYS[1] .. ':looked' then
    all[#all + 1] = {string.sub(key, #KEYS[1] + 2), left, kind, value}
  end
end
return cjson.encode(all)
"""

Lane = tuple[str, str, str]

#: Stands for no org, among what is put aside in a queue.
NO_ORG: Final = "|"
#: What may not run now stands behind all that may, by so much.
HELD: Final = 4e15


class Header(NamedTuple):
    """What stands before a message's bytes."""

    queue: str
    org: str
    lane: str
    enqueue_id: str


class Token(NamedTuple):
    """A lease, as `B:lease:<wid>` has it."""

    text: str

    @property
    def flag(self) -> str:
        """Of the message: empty, a or p."""
        return self.text.rpartition("|")[2]

    @property
    def number(self) -> int:
        """Its place among all leases."""
        return int(self.text.partition("|")[0])

    @property
    def charged_ms(self) -> float:
        """To its org, in advance."""
        return float(self.text.split("|")[2])

    @property
    def interval_ms(self) -> float:
        """Of its actor's rate; 0 for none."""
        return float(self.text.split("|")[3])


@dataclass
class State:
    """The keys of a shard, by what they are; names as in `broker/keys.py`."""

    records: dict[str, Header] = field(default_factory=dict)
    #: Bytes of each record.
    sizes: dict[str, int] = field(default_factory=dict)
    lanes: dict[Lane, list[str]] = field(default_factory=dict)
    #: Of an org, as they stand in its order, with HELD; and of those of an actor that are very many.
    ordered_lanes: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    other_lanes: dict[Lane, dict[str, float]] = field(default_factory=dict)
    ready: dict[str, dict[str, float]] = field(default_factory=dict)
    ahead: dict[str, dict[str, float]] = field(default_factory=dict)
    ages: dict[str, dict[str, float]] = field(default_factory=dict)
    delayed: dict[str, dict[str, float]] = field(default_factory=dict)
    #: Actors of orgs, and orgs; by an actor's gate, with the time at which that is looked at; and keys of which nothing
    #: may be leased.
    aside: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    blocked_actors: dict[str, dict[str, float]] = field(default_factory=dict)
    behind_gates: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    due_keys: set[tuple[str, str]] = field(default_factory=set)
    gates_due: dict[str, float] = field(default_factory=dict)
    suspects: dict[str, dict[str, float]] = field(default_factory=dict)
    delayed_by_org: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    due_orgs: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting_orgs: dict[str, set[str]] = field(default_factory=dict)
    waiting_lanes: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=dict)
    leases: dict[str, dict[str, Token]] = field(default_factory=dict)
    workers: dict[str, float] = field(default_factory=dict)
    dead: dict[str, dict[str, float]] = field(default_factory=dict)
    dead_records: dict[str, dict[str, str]] = field(default_factory=dict)
    parked_keys: dict[str, set[str]] = field(default_factory=dict)
    gates: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    sets: dict[str, set[str]] = field(default_factory=dict)
    #: Keys that nothing removes by itself.
    lasting: set[str] = field(default_factory=set)

    @property
    def lead_ms(self) -> int:
        """By which timers are ahead of the clock."""
        return int(self.strings.get("skew", 0))

    def numbers(self, name: str) -> dict[str, int]:
        """A hash of counters."""
        return {key: int(value) for key, value in self.hashes.get(name, {}).items()}

    def open_lanes(self, queue: str, org: str) -> set[str]:
        """Those of an org that nothing holds."""
        found = set()
        for lane, score in self.ordered_lanes.get((queue, org), {}).items():
            if score < HELD:
                others = self.other_lanes.get((queue, org, lane.partition(":")[0]), {})
                found |= {each for each, own in others.items() if own < HELD} if lane in others else {lane}
        return found

    def leased(self) -> dict[str, tuple[str, Token]]:
        """Who holds which message; of one that two hold, the last (see `locations`)."""
        return {
            message_id: (worker_id, token)
            for worker_id, held in self.leases.items()
            for message_id, token in held.items()
        }

    def locations(self) -> list[tuple[str, str]]:
        """Where each message stands that is not dead; one that stands twice is here twice."""
        found = [
            (message_id, f"lane {lane}")
            for lane, entries in self.lanes.items()
            for message_id in message_ids(entries)
        ]
        for name, sets in (("delayed", self.delayed), ("suspect", self.suspects)):
            found += [
                (message_id, f"{name} in {queue}")
                for queue, entries in sets.items()
                for message_id in entries
            ]
        return found + [
            (message_id, f"leased by {worker_id}")
            for worker_id, held in self.leases.items()
            for message_id in held
        ]


def read(client: "redis.Redis", base: str) -> State:
    """Look at everything."""
    state = State()
    for name, ttl_ms, kind, value in json.loads(client.eval(_DUMP, 1, base)):
        if ttl_ms < 0:
            state.lasting.add(name)
        _add(state, name, kind, value)
    return state


def without_beats(state: State) -> State:
    """What is left when heartbeats, and what they tell of the clock, do not count."""
    others = {name: value for name, value in state.strings.items() if name not in ("heard", "up", "skew")}
    return replace(state, workers={}, strings=others, lasting=state.lasting - {"workers", "skew"})


def message_ids(entries: list[str]) -> list[str]:
    """The messages of a lane."""
    return [entry.partition("|")[2] for entry in entries]


def _add(state: State, name: str, kind: str, value: Any) -> None:
    head, _, rest = name.partition(":")
    pairs = dict(zip(value[::2], value[1::2], strict=True)) if kind in ("hash", "zset") else {}
    scores = {member: float(score) for member, score in pairs.items()} if kind == "zset" else {}
    match head:
        case "m":
            state.records = {
                message_id: Header(*record.split("\n", 4)[:4]) for message_id, record in pairs.items()
            }
            state.sizes = {message_id: len(record.encode()) for message_id, record in pairs.items()}
        case "l":
            queue, org, lane = rest.split(":", 2)
            state.lanes[queue, org, lane] = value
        case "ql":
            queue, org = rest.split(":")
            state.ordered_lanes[queue, org] = scores
        case "qk":
            queue, org, actor = rest.split(":")
            state.other_lanes[queue, org, actor] = scores
        case "qr":
            state.ready[rest] = scores
        case "qa":
            state.ages[rest] = scores
        case "qv":
            state.ahead[rest] = scores
        case "qd":
            state.delayed[rest] = scores
        case "qo":
            queue, org = rest.split(":")
            state.delayed_by_org[queue, org] = scores
        case "qn":
            state.due_orgs[rest] = scores
        case "qs":
            aside = {_two(member): score for member, score in scores.items()}
            state.aside[rest] = {each: at_ms for each, at_ms in aside.items() if each[0] != NO_ORG}
            state.due_keys |= {_two_of(name) for org, name in aside if org == NO_ORG and name}
            if (NO_ORG, "") in aside:
                state.gates_due[rest] = aside[NO_ORG, ""]
        case "qb":
            state.blocked_actors[rest] = scores
        case "qg":
            queue, actor = rest.split(":")
            state.behind_gates[queue, actor] = set(scores)
        case "qx":
            state.suspects[rest] = scores
        case "b":
            state.waiting_orgs[rest] = {_two(member)[0] for member in value}
        case "bz":
            org, key = rest.split(":")
            state.waiting_lanes[org, key] = {_two(member) for member in scores}
        case "lease":
            state.leases[rest] = {message_id: Token(text) for message_id, text in pairs.items()}
        case "workers":
            state.workers = scores
        case "xq":
            state.dead[rest] = scores
        case "xm":
            state.dead_records[rest] = pairs
        case "pk":
            state.parked_keys[rest] = set(value)
        case "g":
            state.gates = {
                gate: {source: (int(each[0]), str(each[1])) for source, each in json.loads(text).items()}
                for gate, text in pairs.items()
            }
        case "wake":
            state.tokens.add(rest)
        case _:
            _add_plain(state, name, kind, value if kind != "hash" else pairs)


def _add_plain(state: State, name: str, kind: str, value: Any) -> None:
    if kind == "hash":
        state.hashes[name] = value
    elif kind == "set":
        state.sets[name] = set(value)
    elif kind == "string":
        state.strings[name] = value


def _two_of(name: str) -> tuple[str, str]:
    _, org, key = name.split(":", 2)
    return org, key


def _two(member: str) -> tuple[str, str]:
    one, _, other = member.partition("\n")
    return one, other
