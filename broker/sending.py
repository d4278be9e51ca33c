"""Sends messages: one, or many in few calls, within the bounds that queues and orgs have."""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal, cast

import redis
from dramatiq import Broker, Message, get_encoder
from dramatiq.errors import ConnectionClosed

from .bounds import is_text, printable
from .clients import client_like, never_twice
from .connection import ask, connection_errors, drop_connections
from .errors import FullOf, MessageTooLarge, NotReplicated, QueueFull, RepeatedTooLate, ServerFull
from .keys import EnqueueIds, SenderCalls, lane_of, lane_prefix, part, record_of, split_record
from .leasing.lease import Sent
from .schema import Schema
from .scripts import Argument, Script

#: The largest message that is taken, in bytes.
DEFAULT_MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
#: After so many seconds it is worth trying a full queue again.
FULL_RETRY_AFTER_S: Final = 5.0
#: How long a replica may take to confirm a message, in milliseconds.
REPLICA_TIMEOUT_MS: Final = 1_000
#: Messages that one call carries, and their bytes; one that is larger goes alone.
BATCH_SIZE: Final = 256
BATCH_BYTES: Final = 2 * 1024 * 1024
#: Commands that a call may take for them, by estimate: for each, for the first of a lane, for one that is delayed.
_BATCH_COMMANDS: Final = 940
_EACH, _LANE, _DELAYED = 3, 24, 12

#: What a sender waits for: the server alone, or a replica as well.
Durability = Literal["local", "replica"]

#: A call is repeated within so many seconds; the server knows it for a minute.
_KNOWN_S: Final = 50.0
#: Priorities and slots beyond this mean no more than it.
_MAX_RANK: Final = 10**9
#: Of a message, as Dramatiq encodes it.
_FIELDS: Final = tuple(each.name for each in fields(Message))
_values_of = attrgetter(*_FIELDS)
#: What a message is made of, its subclasses aside: id, queue, actor, keyword arguments, options.
_PLAIN_KINDS: Final = (str, str, str, dict, dict)
#: The lane of what cannot be encoded: it is no actor's.
_NO_LANE: Final = f"{part('?')}:0"

_ENQUEUE = Script("enqueue")
_PARK = Script("park")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What may be sent.

    Parameters:
        max_message_bytes: of one encoded message. Default 2 MiB.
        max_queue_depth: messages of a queue that are not done. Default None: any number.
        max_org_depth: messages of an org that are not done, over all queues. Default None: any number.
        max_queue_bytes: what the messages of a queue that are not done have together. Default None: any number.
        max_org_bytes: the same of an org, over all queues. Default None: any number.
    """

    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    max_queue_depth: int | None = None
    max_org_depth: int | None = None
    max_queue_bytes: int | None = None
    max_org_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


class Sender:
    """Sends what is encoded already.

    Parameters:
        client: of the server.
        base: the shard's base key.
        bounds: what is refused.
        durability: `"replica"` waits until a replica has confirmed each call.
    """

    def __init__(self, client: "redis.Redis", base: str, bounds: Bounds, durability: Durability) -> None:
        self._client = client
        self._base = base
        self._bounds = bounds
        self._durability = durability
        self._calls = SenderCalls()
        self._schema = Schema(client, base)
        #: The process that has looked at the schema: it does before its first message.
        self._begun_pid = -1
        self._once = client_like(client, retry=never_twice()) if durability == "replica" else client
        self._max_depths = (bounds.max_queue_depth or 0, bounds.max_org_depth or 0)
        self._max_bytes = (bounds.max_queue_bytes or 0, bounds.max_org_bytes or 0)

    def check_size(self, actor_name: str, sent: Sent) -> None:
        """Refuse what is too large.

        Raises:
            MessageTooLarge: it is.
        """
        if len(sent.record) > self._bounds.max_message_bytes:
            raise MessageTooLarge(actor_name, len(sent.record), self._bounds.max_message_bytes)

    def send(self, messages: Sequence[Sent], *, more: Sequence[Sent] = (), bounded: bool = True) -> None:
        """Send these, all or none.

        Parameters:
            messages: at most a few hundred.
            more: of the same queue, still to come; they count when the queue's bounds are checked. Default none.
            bounded: False for what a call before has checked. Default True.

        Raises:
            QueueFull: a queue or an org has too many or too much, or the server no memory left.
            ConnectionClosed: the server does not answer, to the second try either; they may have arrived.
            NewerSchema: a newer release has converted the server.
            RepeatedTooLate: nobody knows whether they had arrived when the connection was lost.
            NotReplicated: they have arrived, and no replica has confirmed it in time.
        """
        none = (0, 0)
        arguments: list[Argument] = [
            *(self._max_depths if bounded else none),
            len(more),
            *(self._max_bytes if bounded else none),
            sum([len(each.record) for each in more]),
            *self._calls(),
            *chain.from_iterable(cast("Iterable[tuple[Argument, ...]]", messages)),
        ]
        try:
            refused = self._call(_ENQUEUE, arguments)
        except ServerFull as error:
            queue = split_record(messages[0].record)[0]
            raise QueueFull(queue, None, 0, FULL_RETRY_AFTER_S, full="memory") from error
        if refused:
            queue, org, depth, what = refused
            full: FullOf = "bytes" if _text(what) == "bytes" else "messages"
            raise QueueFull(_text(queue), _text(org) or None, int(depth), FULL_RETRY_AFTER_S, full=full)

    def park(self, message: Sent) -> None:
        """Send a message that waits, whatever is full.

        Raises:
            ConnectionClosed, NotReplicated: as from `send`.
        """
        self._call(_PARK, [*self._calls(), *message])

    def disconnect(self) -> None:
        """Close the connections that it made for itself."""
        if self._once is not self._client:
            drop_connections(self._once)

    def send_all(self, messages: Sequence[Sent]) -> list[Exception | None]:
        """Send any number, a queue all or none; for each, what went wrong.

        A connection that is lost on the way may leave part of a queue's messages sent: those that are not say so.
        """
        of_queues: dict[bytes, list[int]] = {}
        indexes: list[int] = []
        row: bytes | None = None
        for index, each in enumerate(messages):
            record = each.record
            # Most go to the queue of the one before.
            if row is None or not record.startswith(row):
                row = record[: record.index(b"\n") + 1]
                indexes = of_queues.setdefault(row, [])
            indexes.append(index)
        faults: list[Exception | None] = [None] * len(messages)
        for indexes in of_queues.values():
            self._send_queue(messages, indexes, faults)
        return faults

    def _send_queue(
        self, messages: Sequence[Sent], indexes: list[int], faults: list[Exception | None]
    ) -> None:
        start = 0
        while start < len(indexes):
            batch = _first_batch(messages, indexes, start)
            try:
                # The first call checks for all of them; what it has let in is not refused half-way.
                more = [messages[index] for index in indexes[len(batch) :]] if start == 0 else ()
                self.send(batch, more=more, bounded=start == 0)
            except Exception as error:  # noqa: BLE001  # it is each message's answer
                for index in indexes[start:]:
                    faults[index] = error
                return
            start += len(batch)

    def _call(self, script: Script, arguments: list[Argument]) -> list[Any]:
        run = self._run if self._durability == "local" else self._run_safely
        begun_s = time.monotonic()
        if self._begun_pid != os.getpid():
            try:
                self._schema.begin()
            except ConnectionClosed:
                self._schema.begin()
            self._begun_pid = os.getpid()
        try:
            answer = run(script, arguments)
        except ConnectionClosed:
            # It may have arrived: the server knows a call again for a minute, and does nothing the second time.
            if time.monotonic() - begun_s > _KNOWN_S:
                raise
            answer = run(script, arguments, repeated=True)
        if answer == [0]:
            raise RepeatedTooLate(
                "the connection was lost, and this process has sent so much since that nobody knows whether the "
                "messages had arrived; look for their ids before you send them again"
            )  # type: ignore[no-untyped-call]
        return answer

    def _run(self, script: Script, arguments: list[Argument], *, repeated: bool = False) -> list[Any]:
        answer: list[Any] = script(self._client, self._base, arguments)
        return answer

    def _run_safely(self, script: Script, arguments: list[Argument], *, repeated: bool = False) -> list[Any]:
        # WAIT counts what its own connection has written, and says yes where that is nothing. So both go over one,
        # which is not made anew between them: after a fail-over that would ask a server that never had the message.
        with connection_errors(self._once), self._once.client() as connection:  # type: ignore[no-untyped-call]
            answer: list[Any] = script(connection, self._base, arguments)
            if not answer:  # it was not refused
                if repeated:  # it may have written nothing, and then that is not waited for
                    ask(connection, "SET", f"{self._base}:waited", 1, "PX", REPLICA_TIMEOUT_MS)
                self._wait_for_replica(connection)
        return answer

    def _wait_for_replica(self, connection: "redis.Redis") -> None:
        confirmed = int(ask(connection, "WAIT", 1, REPLICA_TIMEOUT_MS))
        if confirmed < 1:
            raise NotReplicated(
                f"no replica confirmed the message within {REPLICA_TIMEOUT_MS} ms; the server itself has it. Send it "
                "again, or check the replicas (INFO replication)"
            )  # type: ignore[no-untyped-call]


class Encoder:
    """Encodes messages as scripts take them.

    Parameters:
        broker: whose actors say what a message does not say itself: its priority, its concurrency key.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._enqueue_ids = EnqueueIds()

    def __call__(self, message: Message[Any], delay_ms: int, parked: str = "") -> Sent:
        """Encode an enqueue of a message.

        Parameters:
            message: on its real queue.
            delay_ms: until it is due; 0 for now.
            parked: `<cause>\\n<key>`, where it is parked. Default: it is not.

        Raises:
            ValueError: it cannot be stored; the error names what is wrong with it.
        """
        self.check(message)
        try:
            body = _encoded(message)
        except Exception as error:
            raise ValueError(f"a message of {message.actor_name!r} cannot be encoded: {error}") from error
        enqueue_id = self._enqueue_ids()
        record = record_of(message.queue_name, _org(message), self._lane(message), enqueue_id, body)
        return Sent(message.message_id, enqueue_id, delay_ms, parked and printable(parked), record)

    def check(self, message: Message[Any]) -> None:
        """Refuse a message whose names are no text.

        Raises:
            ValueError: they are not; the error says which.
        """
        id_, queue, actor = message.message_id, message.queue_name, message.actor_name
        kinds = (type(id_), type(queue), type(actor), type(message.kwargs), type(message.options))
        if kinds == _PLAIN_KINDS and id_.isascii() and queue.isascii() and "\n" not in queue:
            return  # nearly every message
        for name in ("message_id", "queue_name", "actor_name"):
            value = getattr(message, name)
            # An actor's name may be anything that JSON can say: it is the worker's to refuse.
            if not isinstance(value, str) or (name != "actor_name" and not is_text(value)):
                raise ValueError(f"the {name} of a message must be text that has an encoding, not {value!r}")
        if "\n" in message.queue_name:
            raise ValueError(f"the queue_name of a message must be one row, not {message.queue_name!r}")
        values: tuple[object, object] = (message.kwargs, message.options)
        if not all(isinstance(value, dict) for value in values):
            raise ValueError("the kwargs and the options of a message must be dictionaries")

    def salvage(self, message: Message[Any], delay_ms: int, parked: str = "") -> Sent:
        """Encode what goes along with an end, whatever it is: what cannot be encoded is a dead letter at its worker."""
        try:
            return self(message, delay_ms, parked)
        except ValueError:
            logger.exception("What goes along with a message's end cannot be sent and will be dead.")
            enqueue_id = self._enqueue_ids()
            queue = printable(str(message.queue_name)).replace("\n", "\\n")
            record = record_of(queue, "", _NO_LANE, enqueue_id, _shown(message))
            return Sent(printable(str(message.message_id)), enqueue_id, 0, "", record)

    def _lane(self, message: Message[Any]) -> str:
        options = message.options
        actor = self._broker.actors.get(message.actor_name)
        priority = options.get("priority")
        if not isinstance(priority, int) or isinstance(priority, bool):
            priority = actor.priority if actor is not None else 0
        if not -_MAX_RANK <= priority <= _MAX_RANK:
            priority = _MAX_RANK if priority > 0 else -_MAX_RANK
        concurrency = options.get("concurrency") or (actor and actor.options.get("concurrency"))
        if concurrency:
            return lane_of(message.actor_name, priority, _slots(concurrency))
        return _lane_without_key(message.actor_name, priority)


#: An actor has few of them, and sends many messages to each.
_lane_without_key = lru_cache(maxsize=1_024)(lane_of)


def _org(message: Message[Any]) -> str:
    org = message.options.get("org")
    return "" if org is None else str(org)


def _encoded(message: Message[Any]) -> bytes:
    """As `Message.encode`, which looks up each time which fields a message has."""
    if type(message) is not Message:
        return message.encode()
    return get_encoder().encode(dict(zip(_FIELDS, _values_of(message), strict=True)))


def _shown(message: Message[Any]) -> bytes:
    try:
        return printable(repr(message)).encode()
    except Exception as error:  # noqa: BLE001  # its values' own
        return f"a message that cannot be shown ({type(error).__name__})".encode()


def _text(answer: bytes | str) -> str:
    """A name in an answer; a client may decode them."""
    return answer if isinstance(answer, str) else answer.decode()


def _first_batch(messages: Sequence[Sent], indexes: Sequence[int], start: int) -> list[Sent]:
    """Those of a queue from one on that go with one call."""
    batch: list[Sent] = []
    lanes: set[bytes] = set()
    commands = size = 0
    for index in indexes[start : start + BATCH_SIZE]:
        sent = messages[index]
        lane = lane_prefix(sent.record)
        commands += _EACH + (_DELAYED if sent.delay_ms > 0 else 0 if lane in lanes else _LANE)
        size += len(sent.record)
        if batch and (commands > _BATCH_COMMANDS or size > BATCH_BYTES):
            break
        lanes.add(lane)
        batch.append(sent)
    return batch


def _slots(option: object) -> tuple[str, int] | None:
    """The option as a key and a number; what is neither is the guards' to refuse, and limits nothing here."""
    match option:
        case (str(key), int(most)) if key and most >= 1:
            return key, min(most, _MAX_RANK)
    return None
