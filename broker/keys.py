"""The key schema, and how messages are written into it.

Every key of a shard begins with the base `B = <namespace>:{<shard>}`, so that all of them share one hash slot. Scripts
name them in `lua/parts/keys.lua`:

    B:m                       hash   message id -> record     every message that is not dead
    B:mb                      hash   message id -> bytes      records of more than 8 KiB
    B:n                       hash   queue -> how many        messages that are not dead
    B:no                      hash   org -> how many          the same, over all queues
    B:by                      hash   q:<queue>, o:<org> -> bytes  of messages that are not dead and have the mark
    B:l:<queue>:<org>:<lane>  list   "<since ms>|<message id>"  a lane, oldest first
    B:ql:<queue>:<org>        zset   lane -> since + priority an org's lanes with something in them; 4e15 more for those
                                                              that may not run; of those in qk the first alone
    B:qk:<queue>:<org>:<actor>  zset lane -> the same         an actor's lanes with a concurrency key, or a priority
                                                              beyond a hundred
    B:qr:<queue>              zset   org -> virtual time      orgs with something ready that may run
    B:qa:<queue>              zset   org -> since ms          the same orgs: since when waits what each would run next
    B:qy:<queue>              string "<ms>|<ms>"            work that was given out, and how much of it by age (TTL)
    B:qv:<queue>              zset   org -> virtual time      other orgs that were served ahead (TTL)
    B:qt:<queue>              string virtual time             the queue's, at which an org starts that joins (TTL)
    B:qw:<queue>              string number                   weights beyond one each of the orgs in qr and qv (TTL)
    B:qc:<queue>              string ms                       charged for what is leased, an estimate (TTL)
    B:qd:<queue>              zset   message id -> due ms     delayed and parked messages
    B:qo:<queue>:<org>        zset   message id -> due ms     the same, by org
    B:qn:<queue>              zset   org -> ms                when an org is checked next for what is due
    B:qs:<queue>              zset   "<org>\\n<actor>" -> ms  actors of an org, and orgs (no actor), blocked until then
                                                              by a gate of theirs or a rate; "|\\n": look into qb;
                                                              "|\\n:<org>:<key>": look into bz
    B:qb:<queue>              zset   actor -> ms              actors whose gate holds orgs, until then
    B:qg:<queue>:<actor>      zset   org -> ms                orgs that it holds, since then
    B:qx:<queue>              zset   message id -> since ms   suspects: messages that run in isolation
    B:xs:<queue>              string counter                  of suspects that were searched in vain (TTL)
    B:b:<org>                 set    "<queue>\\n"             where the org waits for one of its own leases to end
    B:bz:<org>:<key>          zset   "<queue>\\n<lane>" -> score  lanes that wait for a slot of a concurrency key
    B:bk:<org>:<key>          set    "<queue>\\n<lane>"       the same, of schema 1
    B:aq                      hash   queue -> how many        leased
    B:a                       hash   org -> how many          leased
    B:ak                      hash   "<org>\\n<key>" -> how many  leased with that concurrency key
    B:p                       hash   message id -> "<cause>\\n<key>"  parked: why, and what may release it
    B:pk:<key>                set    message id               parked under a key (TTL)
    B:pn                      hash   "<queue>\\n<kind>" -> how many  parked, by the first word of key or cause
    B:skew                    string ms                       by which timers are ahead of the server's clock, since
                                                              that stepped back; added to what qd, qs and t hold
    B:t:<org>:<actor>         string ms                       theoretical arrival time of a rate (TTL)
    B:d                       hash   message id -> "<crashes>|<isolated crashes>|<last>"  workers it crashed (TTL)
    B:lease:<worker id>       hash   message id -> token      what a worker holds; token = "<number>|<since ms>|
                                                              <charged ms>|<rate interval ms>|<leased ms>|
                                                              <virtual time>|<flag>"
    B:workers                 zset   worker id -> last heartbeat ms  workers that live
    B:heard                   string ms                       when anybody fetched or finished last (TTL)
    B:up                      string ms                       nobody was heard for long, and now somebody is (TTL)
    B:wi                      hash   worker id -> JSON        what they are
    B:quiet                   set    worker id                workers that are to fetch nothing
    B:dw:<worker id>          string "stopped" or what        how a supervisor saw a worker end (TTL)
    B:probe:<queue>           string worker id                who makes itself idle for a suspect (TTL)
    B:seq                     string counter                  numbers of leases (TTL)
    B:avg                     hash   actor -> mean ms         what a run takes (TTL)
    B:o                       hash   org -> "<weight>|<max leased>"  configuration of orgs
    B:r                       hash   actor -> "<interval ms>|<tolerance ms>"  configuration: start rates, per org
    B:g                       hash   gate -> JSON             configuration: what is blocked, {source: [until ms, why]};
                                                              gates are q:<queue>, a:<actor>, o:<org>, x:<org>:<actor>
    B:schema                  string "<number> <release>"     the schema of all these, and who knows it first
    B:s:<sender>              string "<number>|<bits>"        which calls of a sending process have arrived: the highest
                                                              number, and a bit for each of the 1,024 up to it (TTL)
    B:late                    string counter                  of calls that came again too late to know that (TTL)
    B:xq:<queue>, B:xm:<queue>  zset message id -> ms, hash message id -> record  dead letters (TTL)
    B:xk:<ms>:<key>           any    what stood there         a key that was of a wrong type; a letter names it (TTL)
    B:wake:<queue>            list   at most one token        releases one waiting worker (TTL)

No script knows two more, which live for seconds: `<base>:waited`, a write that a replica is waited for by after a lost
answer, and `<base>:rights`, on which a worker that starts tries what its user may do.

A message goes by its own id. A second copy that is put while the first is there goes by `<message id>~<enqueue id>`. A
lane is `<actor>:<priority>` or, for messages with a concurrency key, `<actor>:<priority>:<key>:<max leased>`. A record
is `queue \\n org \\n lane \\n enqueue id \\n encoded message`. An enqueue id that begins with `.` marks a message whose
bytes are counted: release 0.1.0, which may run beside this one, counts none.
"""

import itertools
import os
from typing import Final

from .bounds import from_wire

#: What the enqueue id of a message begins with whose bytes are counted.
COUNTED: Final = "."

#: What may not stand inside a part of a key or of a record's header.
_ESCAPES: Final = {"%": "%25", ":": "%3A", "\n": "%0A", "|": "%7C"}


def base_key(namespace: str, shard: str = "0") -> str:
    """The key all others of a shard are derived from."""
    return f"{namespace}:{{{shard}}}"


def wake_key(base: str, queue: str) -> str:
    """The list on which idle workers of a queue wait."""
    return f"{base}:wake:{queue}"


def part(text: str) -> str:
    """Text from outside as part of a key, so that no two differ in meaning and agree in key.

    Example:
        >>> part("a:b")
        'a%3Ab'
    """
    if text.isalnum():
        return text
    # JSON may hold half of a surrogate pair, which no encoding has.
    text = text.encode("utf-8", "backslashreplace").decode()
    for plain, escaped in _ESCAPES.items():
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def lane_of(actor: str, priority: int, concurrency: tuple[str, int] | None = None) -> str:
    """The name of a lane inside an org.

    Parameters:
        actor: its actor's name.
        priority: the lower, the sooner.
        concurrency: a key, and how many with it may run at once. Default None: no key.
    """
    lane = f"{part(actor)}:{priority}"
    return lane if concurrency is None else f"{lane}:{part(concurrency[0])}:{concurrency[1]}"


def record_of(queue: str, org: str, lane: str, enqueue_id: str, body: bytes) -> bytes:
    """A message as it is stored."""
    return f"{queue}\n{part(org)}\n{lane}\n{enqueue_id}\n".encode() + body


def split_record(record: bytes) -> tuple[str, str, str, bytes]:
    """Queue, org (escaped), lane and encoded message of a record."""
    queue, org, lane, _, body = record.split(b"\n", 4)
    try:
        return queue.decode(), org.decode(), lane.decode(), body
    except UnicodeDecodeError:
        return from_wire(queue), from_wire(org), from_wire(lane), body


def lane_prefix(record: bytes) -> bytes:
    """What two records of one queue, org and lane begin with, and no two of different ones.

    Raises:
        ValueError: it is no record.
    """
    org_at = record.index(b"\n") + 1
    lane_at = record.index(b"\n", org_at) + 1
    return record[: record.index(b"\n", lane_at) + 1]


def gate_of(gate: str) -> str:
    """A gate as it is stored: its parts escaped.

    Parameters:
        gate: `q:<queue>`, `a:<actor>`, `o:<org>` or `x:<org>:<actor>`.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> gate_of("x:acme:eu:resize")
        'x:acme%3Aeu:resize'
    """
    kind, _, rest = gate.partition(":")
    if kind == "x" and ":" in rest:
        org, _, actor = rest.rpartition(":")
        return f"x:{part(org)}:{part(actor)}"
    if kind in ("q", "a", "o") and rest:
        return f"{kind}:{part(rest)}"
    raise ValueError(f"a gate is q:<queue>, a:<actor>, o:<org> or x:<org>:<actor>, not {gate!r}")


class EnqueueIds:
    """Makes ids that distinguish two enqueues of one message: unique over all processes, short, and quick to make."""

    def __init__(self) -> None:
        self._pid = -1
        self._next = iter(itertools.count())
        self._prefix = ""

    def __call__(self) -> str:
        if self._pid != os.getpid():  # a fork would repeat its parent's
            self._prefix = os.urandom(9).hex()
            self._pid = os.getpid()
        return f"{COUNTED}{self._prefix}{next(self._next):x}"


class SenderCalls:
    """Numbers the calls of this process, so that the server knows one again whose answer got lost."""

    def __init__(self) -> None:
        self._pid = -1
        self._numbers = iter(itertools.count(1))
        self._sender = ""

    def __call__(self) -> tuple[str, int]:
        """Who sends, and the number of the next call."""
        if self._pid != os.getpid():  # a fork would repeat its parent's
            self._numbers = iter(itertools.count(1))
            self._sender = os.urandom(9).hex()
            self._pid = os.getpid()
        return self._sender, next(self._numbers)
