"""Takes the messages of Dramatiq's own Redis broker over, while its workers go on.

What such a worker has fetched stays its own. Everything else moves, one message after the other from the head of its
queue, so that any number of drains and of workers there share the queue: each message goes to one of them.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from dramatiq import Message
from dramatiq.common import dq_name, q_name, xq_name
from dramatiq.errors import DecodeError

from ..connection import connection_errors
from ..keys import part, record_of
from ..leasing.delivery import KeepsUndecodable
from ..redis import FairRedisBroker
from ..scripts import Argument, Script

#: Messages moved by one call of the server: others wait for no longer than some milliseconds.
BATCH_SIZE: Final = 100

#: A worker there that was silent for so long is taken for dead, in seconds, as Dramatiq does.
SILENT_S: Final = 60

#: Options in which Dramatiq's broker keeps its own affairs.
_OWN_OPTIONS: Final = ("eta", "redis_message_id")
#: A queue's name, as Dramatiq takes it.
_QUEUE = re.compile(r"[a-zA-Z_][a-zA-Z0-9._-]*")
_MESSAGES = ".msgs"
#: Characters that mean something in a pattern of SCAN.
_SPECIAL = re.compile(r"([*?\[\]\\])")

#: The lane of what cannot be decoded: nobody knows what it was.
_NO_LANE = f"{part('?')}:0"

#: What an id stands for: a message, bytes that are none, or nothing.
_Body = Message[Any] | bytes | None

_DRAIN = Script("drain_dramatiq")
_DRAIN_DEAD = Script("drain_dramatiq_dead_letters")
_RECLAIM = Script("reclaim_dramatiq")


@dataclass(frozen=True, kw_only=True)
class DramatiqQueue:
    """What is left of a queue there."""

    name: str
    ready: int
    delayed: int
    dead: int
    #: Fetched by workers there and not done: it comes back, or ends there.
    held: int
    #: Of what is held, how much by workers that have been silent for a minute.
    silent: int


@dataclass(frozen=True, kw_only=True)
class MovedCounts:
    """What came from a queue."""

    ready: int = 0
    delayed: int = 0
    dead: int = 0
    #: Could not be decoded, and are dead letters now, whole.
    undecodable: int = 0
    #: Ids without a message, which Dramatiq sometimes leaves behind.
    gone: int = 0

    def __add__(self, other: "MovedCounts") -> "MovedCounts":
        return MovedCounts(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def total(self) -> int:
        """How many messages moved."""
        return self.ready + self.delayed + self.dead + self.undecodable


class DramatiqDrain:
    """Moves messages from Dramatiq's own Redis broker to ours, on the same server.

    Nothing is lost, doubled or run: each message is in one of the two at any time, keeps its id, its options and
    what is left of its delay, and is ordered as it would have been sent here in that order. No hook is called, except
    those that keep bytes which are no message.

    Parameters:
        broker: ours. Its actors, where it has some, say what a message that does not say it itself has: the priority.
        namespace: of the other broker. Default `dramatiq`.
        batch: messages a call. Default 100.

    Raises:
        ConnectionClosed: from every method: the server does not answer; what was not moved is where it was.
        BrokerScriptError: from every method: the server refused, for want of memory for example; likewise.

    Example:
        >>> drain = DramatiqDrain(broker, namespace="dramatiq")
        >>> for queue in drain.queues():
        ...     print(queue, sum((each for each in drain.drain(queue)), MovedCounts()))
    """

    def __init__(
        self, broker: FairRedisBroker, *, namespace: str = "dramatiq", batch: int = BATCH_SIZE
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        self._broker = broker
        self._client: Any = broker.client
        self._namespace = namespace
        self._batch = batch

    def queues(self) -> list[str]:
        """The queues there that have messages, dead ones included, by name.

        Dramatiq keeps no list of them, so this scans the names of all keys.
        """
        begin = f"{self._namespace}:"
        pattern = _SPECIAL.sub(r"\\\1", begin) + "*" + _MESSAGES
        found = set()
        with connection_errors(self._client):
            for key in self._client.scan_iter(match=pattern, count=1_000, _type="HASH"):
                name = key.decode()[len(begin) : -len(_MESSAGES)]
                if _QUEUE.fullmatch(name):
                    found.add(q_name(name.removesuffix(".XQ")))
        return sorted(found)

    def inspect(self, queue: str) -> DramatiqQueue:
        """How much is left of a queue there.

        Parameters:
            queue: its name.
        """
        ready, delayed = self._list(queue), self._list(dq_name(queue))
        with connection_errors(self._client):
            seconds, _ = self._client.time()
            workers = self._client.zrange(f"{self._namespace}:__heartbeats__", 0, -1, withscores=True)
            with self._client.pipeline(transaction=False) as pipe:
                pipe.llen(ready)
                pipe.llen(delayed)
                pipe.zcard(self._list(xq_name(queue)))
                for worker, _ in workers:
                    pipe.scard(self._held(worker.decode(), queue))
                    pipe.scard(self._held(worker.decode(), dq_name(queue)))
                counts = pipe.execute()
        held = [counts[at] + counts[at + 1] for at in range(3, len(counts), 2)]
        silent_ms = (seconds - SILENT_S) * 1_000
        silent = sum(count for count, (_, beat_ms) in zip(held, workers, strict=True) if beat_ms < silent_ms)
        return DramatiqQueue(
            name=queue, ready=counts[0], delayed=counts[1], dead=counts[2], held=sum(held), silent=silent
        )

    def drain(self, queue: str, *, dead: bool = False) -> Iterator[MovedCounts]:
        """Move what is there now, a batch a step; the iterator moves nothing until its next step is taken.

        Parameters:
            queue: its name.
            dead: move its dead letters too. Default False.

        Returns:
            What each step moved.
        """
        for name in (queue, dq_name(queue)):
            yield from self._drain_list(name)
        if dead:
            yield from self._drain_dead(queue)

    def reclaim(self, queue: str, *, silent_s: float = SILENT_S) -> int:
        """Put back what workers hold that have been silent for so long, so that it can be moved.

        Dramatiq's maintenance does the same, but only where a worker of its own still runs. A worker that is silent
        and lives may run what it holds a second time.

        Parameters:
            queue: its name.
            silent_s: seconds. Default 60, as Dramatiq has it.

        Returns:
            How many messages.
        """
        heartbeats = f"{self._namespace}:__heartbeats__"
        back = 0
        with connection_errors(self._client):
            workers = [worker.decode() for worker in self._client.zrange(heartbeats, 0, -1)]
        for worker in workers:
            for name in (queue, dq_name(queue)):
                list_ = self._list(name)
                keys = (heartbeats, self._held(worker, name), list_, list_ + _MESSAGES)
                arguments = (*keys, worker, int(silent_s * 1_000), self._batch)
                while count := _RECLAIM(self._client, self._broker.base, arguments):
                    back += count
        return back

    def undecodable(self, queue: str, *, limit: int = 1_000) -> int:
        """How many of the first messages cannot be decoded here; a wrong encoder makes it all of them.

        Parameters:
            queue: its name.
            limit: how many to decode of what is ready, and of what is delayed. Default 1,000.
        """
        heads = [self._head(self._list(name), limit) for name in (queue, dq_name(queue))]
        return sum(isinstance(body, bytes) for head in heads for _, body in head)

    def _drain_list(self, name: str) -> Iterator[MovedCounts]:
        queue = q_name(name)
        kind = "ready" if name == queue else "delayed"
        while head := self._head(self._list(name), self._batch):
            self._keep(queue, head)
            entries = ((id_, _due_ms(body), *self._entry(id_, body, queue)) for id_, body in head)
            moved, dead, gone = self._move(_DRAIN, self._list(name), queue, entries)
            yield MovedCounts(**{kind: moved}, undecodable=dead, gone=gone)

    def _keep(self, queue: str, head: list[tuple[bytes, _Body]]) -> None:
        """As workers do with bytes that are no message, before those are dead."""
        for dramatiq_id, body in head:
            if isinstance(body, bytes):
                for each in self._broker.middleware:
                    if isinstance(each, KeepsUndecodable):
                        each.keep_undecodable(self._broker, queue, body, dramatiq_id.decode())

    def _drain_dead(self, queue: str) -> Iterator[MovedCounts]:
        set_ = self._list(xq_name(queue))
        while head := self._head(set_, self._batch, sorted_set=True):
            entries = ((id_, *self._entry(id_, body, queue)) for id_, body in head)
            yield MovedCounts(dead=self._move(_DRAIN_DEAD, set_, queue, entries))

    def _head(self, key: str, count: int, *, sorted_set: bool = False) -> list[tuple[bytes, _Body]]:
        """Ids, and what they stand for."""
        with connection_errors(self._client):
            ids = (self._client.zrange if sorted_set else self._client.lrange)(key, 0, count - 1)
            bodies = self._client.hmget(key + _MESSAGES, ids) if ids else []
        return [(id_, body and _decoded(body)) for id_, body in zip(ids, bodies, strict=True)]

    def _entry(self, dramatiq_id: bytes, body: _Body, queue: str) -> tuple[Argument, Argument, Argument]:
        """Message id, enqueue id and record, as if it were sent here."""
        if not isinstance(body, Message):
            record = b"" if body is None else record_of(queue, "", _NO_LANE, "", body)
            return dramatiq_id, dramatiq_id, record
        options = {name: value for name, value in body.options.items() if name not in _OWN_OPTIONS}
        sent = self._broker.encoder(replace(body, queue_name=queue, options=options), 0)
        return sent.message_id, sent.enqueue_id, sent.record

    def _move(self, script: Script, key: str, queue: str, entries: Iterable[tuple[Argument, ...]]) -> Any:
        head = (key, key + _MESSAGES, queue, self._broker.dead_message_ttl)
        return script(self._client, self._broker.base, [*head, *chain.from_iterable(entries)])

    def _list(self, name: str) -> str:
        return f"{self._namespace}:{name}"

    def _held(self, worker: str, name: str) -> str:
        return f"{self._namespace}:__acks__.{worker}.{name}"


def _decoded(body: bytes) -> "Message[Any] | bytes":
    """The message, or the bytes where they are none that could be sent."""
    try:
        message: Message[Any] = Message.decode(body)
        # JSON can say half a character; no key can.
        f"{message.message_id}{message.actor_name}{message.options.get('org')}".encode()
    except (DecodeError, AttributeError, UnicodeEncodeError):
        return body
    words = (message.message_id, message.actor_name)
    return message if all(isinstance(each, str) for each in words) else body


def _due_ms(body: _Body) -> int:
    """When a message is due, in epoch milliseconds: 0 for now; -1 for what is none."""
    if not isinstance(body, Message):
        return -1
    eta = body.options.get("eta")
    return max(0, int(eta)) if isinstance(eta, int | float) and math.isfinite(eta) else 0
