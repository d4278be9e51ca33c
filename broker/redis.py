"""The broker: Dramatiq's side of it, thin. `lua/` decides what happens to messages, `process.py` what is held here."""

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import redis
from dramatiq import Message, Worker
from dramatiq.broker import Consumer
from dramatiq.common import q_name
from dramatiq.errors import BrokerError, QueueJoinTimeout
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from .configuration import Rules
from .delegation import DelegatingBroker
from .hooks import HookedBroker
from .inspection.inspector import Inspector
from .inspection.views import QueueState
from .keys import base_key
from .leasing.consumer import LONGEST_WAIT_S, FairConsumer
from .leasing.delivery import DEFAULT_HOLD_MS, HELD_UNTIL, Intake, known_actors
from .leasing.dramatiq_worker import FairWorkQueue
from .leasing.prefetch import Mode
from .leasing.session import Process
from .scripts import Script, away
from .sending import DEFAULT_MAX_MESSAGE_BYTES, Bounds, Durability, Encoder, Sender
from .server_check import check_server

#: A worker that was silent for so long is taken for dead, in milliseconds.
DEFAULT_HEARTBEAT_TIMEOUT_MS: Final = 15_000
#: A worker process in which no Python ran for so long is silent, in milliseconds.
DEFAULT_STALL_TIMEOUT_MS: Final = 120_000
#: How long dead letters are kept, in milliseconds: seven days, as Dramatiq does.
DEFAULT_DEAD_MESSAGE_TTL_MS: Final = 7 * 24 * 60 * 60 * 1_000

#: Most messages that one call drops.
_BATCH_SIZE: Final = 1_000

_FLUSH = Script("flush")


class FairRedisBroker(DelegatingBroker, HookedBroker):
    """A Dramatiq broker on Redis or Valkey, fair between orgs, that loses nothing it accepted.

    A message belongs to the org its option `org` names; messages without one are an org of their own. Orgs share each
    queue equally, measured by the time their jobs take; inside an org, the older and the more urgent goes first.

    What a message's after hooks enqueue (its retry, the next step of its pipeline, its callbacks) is carried out by
    the very call that ends the message, or not at all.

    Parameters:
        url: Like `redis://localhost:6379/0`. Default None: the connection parameters.
        middleware: The whole stack. Default None: Dramatiq's own.
        namespace: What all keys begin with. Default `dramatiq`.
        heartbeat_timeout: Milliseconds of silence after which a worker's messages go to others. Default 15,000.
        dead_message_ttl: Milliseconds that dead letters are kept. Default seven days.
        stall_timeout: Milliseconds for which a job may hold the interpreter's lock; then its worker is silent.
            Default 120,000.
        hold_unknown: Milliseconds that a message of an actor this worker does not know waits for one that does; then
            it is rejected. Default a day.
        max_message_bytes: The largest message that is taken. Default 2 MiB.
        max_queue_depth: Messages of a queue that are not done; more are refused at send. Default None: any number.
        max_org_depth: The same of an org, over all queues. Default None.
        durability: `"replica"`: sending waits until a replica has the message too. Default `"local"`.
        client: A client of redis-py to use; workers make connections of their own with its parameters.
        parameters: What `redis.Redis` takes.

    Raises:
        ConnectionClosed: From sending: the server does not answer.
        QueueFull: From sending: the queue or the org has too many; retries and the like are never refused.
        MessageTooLarge: From sending.
        BrokerScriptError: From sending: the server refused; its message says why.

    Example:
        >>> broker = FairRedisBroker(url="redis://localhost:6379/0")
        >>> resize.send_with_options(args=(7,), org="acme")
    """

    #: What it writes into messages or reads there, and how long that lives: see `middleware/base/options.py`.
    message_options: Final = ((HELD_UNTIL, "life"), ("org", "caller"), ("priority", "caller"))

    def __init__(
        self,
        *,
        url: str | None = None,
        middleware: list[Middleware] | None = None,
        namespace: str = "dramatiq",
        heartbeat_timeout: int = DEFAULT_HEARTBEAT_TIMEOUT_MS,
        dead_message_ttl: int = DEFAULT_DEAD_MESSAGE_TTL_MS,
        stall_timeout: int = DEFAULT_STALL_TIMEOUT_MS,
        hold_unknown: int = DEFAULT_HOLD_MS,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        max_queue_depth: int | None = None,
        max_org_depth: int | None = None,
        durability: Durability = "local",
        client: "redis.Redis | None" = None,
        **parameters: Any,
    ) -> None:
        if min(heartbeat_timeout, dead_message_ttl, stall_timeout) < 1:
            raise ValueError(
                "heartbeat_timeout, dead_message_ttl and stall_timeout must be at least 1 ms, "
                f"not {heartbeat_timeout}, {dead_message_ttl} and {stall_timeout}"
            )
        # The base class adds middleware, whose hooks are found through these.
        self.queues: set[str] = set()
        super().__init__(middleware=middleware)
        self.queues = set()
        self.namespace = namespace
        self.base = base_key(namespace)
        self.heartbeat_timeout = heartbeat_timeout
        self.dead_message_ttl = dead_message_ttl
        self.stall_timeout = stall_timeout
        if url:
            parameters["connection_pool"] = redis.ConnectionPool.from_url(url)
        self.client = client or redis.Redis(**parameters)
        self._made_client = [] if client else [self.client]
        bounds = Bounds(
            max_message_bytes=max_message_bytes, max_queue_depth=max_queue_depth, max_org_depth=max_org_depth
        )
        self.hold_unknown = hold_unknown
        #: Set before the worker starts: it runs suspects alone and nothing else, or leaves them to such a worker.
        self.probe_only = self.probe_elsewhere = False
        #: What whoever looks at the fleet is told of this process, such as `version` and `region`.
        self.worker_facts: dict[str, str] = {}
        self._sender = Sender(self.client, self.base, bounds, durability)
        self._encode = Encoder(self._priority_of, self._concurrency_of)
        self._rules = Rules(self.client, self.base)
        self._starting = threading.Lock()
        self._worker: Worker | None = None
        self._process: Process | None = None
        self._process_pid = -1
        self._worker_clients: list[redis.Redis] = []

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> Consumer:
        """A consumer of a queue.

        Parameters:
            queue_name: Its name.
            prefetch: How many messages may be held, where no worker says how many threads it has.
            timeout: Milliseconds after which it says that there is nothing.
        """
        process = self._start_process()
        process.allow(prefetch)
        process.queues.add(queue_name)
        intake = Intake(self, process, self._deaths_of, self._encode, hold_ms=self.hold_unknown)
        return FairConsumer(process, self._waiting_client, self.base, queue_name, timeout, intake)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; no effect when it is. Delayed messages need no queue of their own."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of all declared queues."""
        return self.queues.copy()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, now or, from a message's after hooks, together with that message's end.

        Parameters:
            message: What to send.
            delay: Milliseconds until it is due, any number of them. Default None: now.
        """
        return self._enqueue(message, delay)

    def send_many(
        self, messages: Iterable[Message[Any]], *, delay: int | None = None
    ) -> list[Message[Any] | Exception]:
        """Send many messages: every hook runs for each, and a call to the server carries a few hundred.

        Those of a queue that is too full are all refused. A message that a hook refuses is left out, the others go.

        Parameters:
            messages: any number.
            delay: Milliseconds until they are due. Default None: now.

        Returns:
            For each message, in order, the message as it was sent, or why it was not.

        Example:
            >>> broker.send_many(resize.message(number) for number in range(10_000))
        """
        delay_ms = max(0, delay or 0)
        answers: list[Message[Any] | Exception] = []
        sent, positions = [], []
        for message in messages:
            plain = _plain(message)
            try:
                self.emit_before("enqueue", plain, delay)
                encoded = self._encode(plain, delay_ms)
                self._sender.check_size(plain.actor_name, encoded)
            except Exception as error:  # noqa: BLE001  # it is this message's answer
                answers.append(error)
            else:
                positions.append(len(answers))
                answers.append(plain)
                sent.append(encoded)
        lease = self._current.lease
        if lease is not None:
            lease.carried.extend(sent)
        faults = [None] * len(sent) if lease is not None else self._sender.send_all(sent)
        for place, fault in zip(positions, faults, strict=True):
            sent_one = answers[place]
            if fault is not None:
                answers[place] = fault
            elif isinstance(sent_one, Message):
                self.emit_after("enqueue", sent_one, delay)
        return answers

    def queue_state(self, queue_name: str) -> QueueState:
        """How full a queue is, in one round trip.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return Inspector(self.client, self.base).queue_state(queue_name)

    def parked_by_cause(self, queue_name: str) -> dict[str, int]:
        """How many messages of a queue are parked, by the first word of what they wait for, in one round trip.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return Inspector(self.client, self.base).parked_by_cause(queue_name)

    @property
    def worker_id(self) -> str | None:
        """Who the worker of this process is to the broker; None while there is none."""
        return self._process.worker_id if self._process is not None else None

    def flush(self, queue_name: str) -> None:
        """Drop all of a queue's messages, dead ones included."""
        while _FLUSH(self.client, self.base, (queue_name, _BATCH_SIZE)):
            pass

    def flush_all(self) -> None:
        """Drop all messages of all declared queues."""
        for queue_name in self.get_declared_queues():
            self.flush(queue_name)

    def join(self, queue_name: str, *, interval: int = 20, timeout: int | None = None) -> None:
        """Wait until a queue has no message left that is ready, delayed or running; for tests.

        Parameters:
            queue_name: Its name.
            interval: Milliseconds between two looks. Default 20.
            timeout: Most milliseconds to wait. Default None: for ever.

        Raises:
            QueueJoinTimeout: the time is over.
        """
        until_s = None if timeout is None else time.monotonic() + timeout / 1_000
        while self.do_qsize(queue_name) > 0:
            if until_s is not None and time.monotonic() >= until_s:
                raise QueueJoinTimeout(queue_name)  # type: ignore[no-untyped-call]
            time.sleep(interval / 1_000)

    def do_qsize(self, queue_name: str) -> int:
        """How many messages of a queue are not done, named as on Dramatiq's own Redis broker.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        try:
            return int(self.client.hget(f"{self.base}:n", queue_name) or 0)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise away(error) from error

    def close(self) -> None:
        """Return what was fetched, say what is finished, and close the connections.

        Those of a `client` that was passed in stay its owner's.
        """
        self._end_process()
        for client in (*self._worker_clients, *self._made_client):
            with suppress(redis.RedisError):
                client.connection_pool.disconnect()
        self._worker_clients.clear()

    def _enqueue(self, message: Message[Any], delay: int | None, parked: str = "") -> Message[Any]:
        message = _plain(message)
        self.emit_before("enqueue", message, delay)
        sent = self._encode(message, max(0, delay or 0), parked)
        lease = self._current.lease
        if lease is not None:
            lease.carried.append(sent)
        else:
            self._sender.check_size(message.actor_name, sent)
            self._sender.send([sent], bounded=not parked)
        self.emit_after("enqueue", message, delay)
        return message

    def _release_held(self) -> None:
        """What waits for a worker that knows its actor."""
        try:
            for key in known_actors(self.actors):
                self.release(key)
        except BrokerError as error:
            self.logger.warning(
                "What is held for this worker is not released (%s); it waits its time.", error
            )

    def _limit_active(self, most: int | None) -> None:
        if self._process is not None:
            self._process.max_active = most or 0

    def _deaths_of(self, message_id: str) -> str:
        deaths = self.client.hget(f"{self.base}:d", message_id)
        return deaths.decode() if isinstance(deaths, bytes) else "0|0|unknown"

    def _priority_of(self, actor_name: str) -> int:
        actor = self.actors.get(actor_name)
        return actor.priority if actor is not None else 0

    def _concurrency_of(self, actor_name: str) -> object:
        actor = self.actors.get(actor_name)
        return actor.options.get("concurrency") if actor is not None else None

    @property
    def _mode(self) -> Mode:
        if self.probe_only:
            return "probe"
        return "share" if self.probe_elsewhere else "any"

    def _worker_boots(self, worker: Worker) -> None:
        check_server(self.client)
        worker.work_queue = FairWorkQueue()
        self._worker = worker

    def _worker_booted(self) -> None:
        self._release_held()

    def _worker_stops(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _worker_stopped(self) -> None:
        self._end_process()
        self._worker = None

    def _start_process(self) -> Process:
        with self._starting:
            if self._process is None or self._process_pid != os.getpid():
                calling = self._client_like(retry=Retry(NoBackoff(), 0))
                # Longer than any wait: a connection that died without a word is still noticed.
                self._waiting_client = self._client_like(
                    socket_timeout=3 * LONGEST_WAIT_S, retry=Retry(NoBackoff(), 0)
                )
                self._process = Process(
                    calling,
                    self.base,
                    heartbeat_timeout_ms=self.heartbeat_timeout,
                    dead_ttl_ms=self.dead_message_ttl,
                    stall_timeout_ms=self.stall_timeout,
                    worker=self._worker,
                    max_active=self._max_active,
                    mode=self._mode,
                    facts=self.worker_facts,
                )
                self._process_pid = os.getpid()
            return self._process

    def _end_process(self) -> None:
        with self._starting:
            process, self._process = self._process, None
            if process is not None and self._process_pid == os.getpid():
                process.close()

    def _client_like(self, **changed: Any) -> "redis.Redis":
        pool = self.client.connection_pool
        parameters = {**pool.connection_kwargs, "decode_responses": False, **changed}
        made = redis.Redis(
            connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **parameters)
        )
        self._worker_clients.append(made)
        return made


def _plain(message: Message[Any]) -> Message[Any]:
    """What Dramatiq's own brokers write into a delayed message means nothing here."""
    if "eta" not in message.options and not message.queue_name.endswith(".DQ"):
        return message
    options = {name: value for name, value in message.options.items() if name != "eta"}
    queue = q_name(message.queue_name)
    plain = message.copy(queue_name=queue)
    plain.options.clear()
    plain.options.update(options)
    return plain
