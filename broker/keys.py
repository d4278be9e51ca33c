"""The key schema, and how messages are written into it.

Every key of a shard begins with the base `B = <namespace>:{<shard>}`, so that all of them share one hash slot:

    B:m                       hash   mid -> record            every message that is not dead
    B:n                       hash   queue -> how many        ready, delayed and leased ones
    B:l:<queue>:<org>:<lane>  list   "<since ms>|<mid>"       a lane, oldest first; lane = "<actor>:<priority>"
    B:ql:<queue>:<org>        zset   lane -> since + priority an org's lanes with something in them
    B:qr:<queue>              zset   org -> virtual time      orgs with something ready
    B:qv:<queue>              zset   org -> virtual time      orgs with nothing ready that were served ahead (TTL)
    B:qt:<queue>              string virtual time             of whom the queue served last (TTL)
    B:qc:<queue>              string ms                       charged for what is leased, an estimate (TTL)
    B:qd:<queue>              zset   mid -> due ms            delayed messages
    B:lease:<wid>             hash   mid -> token             held; token = "<number>|<since ms>|<charged ms>"
    B:workers                 zset   wid -> last beat ms      workers that live
    B:seq                     string counter                  numbers of leases (TTL)
    B:avg                     hash   actor -> mean ms         what a run takes (TTL)
    B:w                       hash   org -> weight            configuration: shares other than 1
    B:xq:<queue>, B:xm:<queue>  zset mid -> ms, hash mid -> record  dead letters (TTL)
    B:wake:<queue>            list   at most one token        releases one waiting worker (TTL)

A mid is new for each enqueue: a retry has its message's id, and a mid of its own. A record is
`queue \\n org \\n lane \\n encoded message`.
"""

import itertools
import os
from typing import Final

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
    for plain, escaped in _ESCAPES.items():
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def lane_of(actor: str, priority: int) -> str:
    """The name of a lane inside an org."""
    return f"{part(actor)}:{priority}"


def record_of(queue: str, org: str, lane: str, body: bytes) -> bytes:
    """A message as it is stored."""
    return f"{queue}\n{part(org)}\n{lane}\n".encode() + body


def split_record(record: bytes) -> tuple[str, str, str, bytes]:
    """Queue, org (escaped), lane and encoded message of a record."""
    queue, org, lane, body = record.split(b"\n", 3)
    return queue.decode(), org.decode(), lane.decode(), body


class Mids:
    """Makes ids for enqueues: unique over all processes, short, and quick to make."""

    def __init__(self) -> None:
        self._pid = -1
        self._next = iter(itertools.count())
        self._prefix = ""

    def __call__(self) -> str:
        if self._pid != os.getpid():  # a fork would repeat its parent's
            self._prefix = os.urandom(9).hex()
            self._pid = os.getpid()
        return f"{self._prefix}{next(self._next):x}"
