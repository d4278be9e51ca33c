"""The broker: Dramatiq's side of it, thin. `lua/` decides what happens to messages, `leasing` what is held here."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import redis
from dramatiq import Message, Worker
from dramatiq.broker import Broker, Consumer, MessageProxy
from dramatiq.common import q_name
from dramatiq.errors import QueueJoinTimeout
from dramatiq.middleware import Middleware
from redis.sentinel import Sentinel

from .bounds import printable, to_wire
from .clients import client_from_url, own_client
from .configuration import Configuration, OrgShare
from .connection import ask, check_mode_at_first_use, server_time_ms
from .delegation import AnyMessage, Delegation, Rule
from .enqueuing import Enqueuer, Route
from .hooks import HookRunner
from .inspection.inspector import DEFAULT_HEARTBEAT_TIMEOUT_MS, Inspector
from .inspection.removal import flush
from .inspection.views import QueueState
from .keys import base_key
from .leasing.consumer import FairConsumer
from .leasing.delivery import DEFAULT_HOLD_MS, HELD_UNTIL, Intake, release_held
from .leasing.lease import AckOperation
from .leasing.prefetch import Mode
from .leasing.session import WorkerSession
from .leasing.session_manager import SessionManager
from .schema import Schema
from .sending import DEFAULT_MAX_MESSAGE_BYTES, Bounds, Durability, Encoder, Sender
from .server_check import check_server

#: A worker process in which no Python ran for so long is silent, in milliseconds.
DEFAULT_STALL_TIMEOUT_MS: Final = 120_000
#: How long dead letters are kept, in milliseconds: seven days, as Dramatiq does.
DEFAULT_DEAD_MESSAGE_TTL_MS: Final = 7 * 24 * 60 * 60 * 1_000

#: A tenth of the work by age: nobody waits ten times as long as first in, first out would have made him wait.
DEFAULT_AGE_SHARE: Final = 0.1


class FairRedisBroker(Broker):
    """A Dramatiq broker on Redis or Valkey, fair between orgs, that loses nothing it accepted.

    A message belongs to the org its option `org` names; messages without one are an org of their own. Orgs share each
    queue equally, measured by the time their jobs take; inside an org, the older and the more urgent goes first.

    What a message's after hooks enqueue (its retry, the next step of its pipeline, its callbacks) is carried out by
    the very call that ends the message, or not at all.

    Parameters:
        url: Like `redis://localhost:6379/0`, or `redis+sentinel://host:26379,host:26379/service`; see
            `client_from_url`. Default None: the connection parameters.
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
        max_queue_bytes: Bytes that the messages of a queue have which are not done; more are refused at send. Default
            None: any number.
        max_org_bytes: The same of an org, over all queues. Default None.
        route: decides where a message goes: called once for each, before its hooks and its encoding, whether it is
            sent, sent with many, parked, or enqueued by another's hooks. It returns the message, or a copy on another
            queue; what it raises is the sender's. Default None: to the queue that the message names.
        age_share: The part of each queue's work, from 0 to less than 1, that goes by age: no job that may run waits
            longer than 1 / `age_share` times what first in, first out would have made it wait. Default 0.1.
        durability: `"replica"`: sending waits until a replica has the message too. Default `"local"`.
        client: A client of redis-py to use, also one by `Sentinel.master_for`, or a Sentinel; workers make connections
            of their own with its parameters.
        service_name: What `sentinel monitor` calls the primary, where `client` is a Sentinel. Default None.
        parameters: What `redis.Redis` takes.

    Raises:
        UnsupportedConnection: the client leads to a cluster or to replicas, or no connection can be made as it says.
        ConnectionClosed: From sending: the server does not answer, or is a replica by now.
        UnsupportedServer: From sending: it is in cluster mode, or its user may not do what the broker does.
        QueueFull: From sending: the queue or the org has too many, or the server no memory left; retries and the like
            are never refused.
        MessageTooLarge: From sending.
        ValueError: From sending: the message cannot be encoded, or its delay is more than ten years.
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
        max_queue_bytes: int | None = None,
        max_org_bytes: int | None = None,
        route: Route | None = None,
        age_share: float = DEFAULT_AGE_SHARE,
        durability: Durability = "local",
        client: "redis.Redis | Sentinel | None" = None,
        service_name: str | None = None,
        **parameters: Any,
    ) -> None:
        if min(heartbeat_timeout, dead_message_ttl, stall_timeout) < 1:
            raise ValueError(
                "heartbeat_timeout, dead_message_ttl and stall_timeout must be at least 1 ms, "
                f"not {heartbeat_timeout}, {dead_message_ttl} and {stall_timeout}"
            )
        if not 0 <= age_share < 1:
            raise ValueError(f"age_share must be at least 0 and less than 1, not {age_share}")
        given = client or (client_from_url(url, **parameters) if url else redis.Redis(**parameters))
        self.client = own_client(given, service_name)
        check_mode_at_first_use(self.client)
        self._made_client = [] if self.client is client else [self.client]
        self.namespace = namespace
        self.base = base_key(namespace)
        self.heartbeat_timeout = heartbeat_timeout
        self.dead_message_ttl = dead_message_ttl
        self.stall_timeout = stall_timeout
        self.hold_unknown = hold_unknown
        self.age_share = age_share
        #: Set before the worker starts: it runs suspects alone and nothing else, or leaves them to such a worker.
        self.probe_only = self.probe_elsewhere = False
        #: What is published of this process for whoever inspects the fleet, such as `version` and `region`.
        self.worker_facts: dict[str, str] = {}
        self.encoder = Encoder(self)
        self._inspector = Inspector(self.client, self.base)
        self._configuration = Configuration(self.client, self.base)
        self._delegation = Delegation(self.base, self._configuration)
        self._sessions = SessionManager(self.client, self._open_session)
        self._hooks = HookRunner(self, self._sessions, on_boot=self._check_server, on_booted=self._booted)
        bounds = Bounds(
            max_message_bytes=max_message_bytes,
            max_queue_depth=max_queue_depth,
            max_org_depth=max_org_depth,
            max_queue_bytes=max_queue_bytes,
            max_org_bytes=max_org_bytes,
        )
        self._sender = Sender(self.client, self.base, bounds, durability)
        self._enqueuer = Enqueuer(self, self.encoder, self._sender, self._hooks, route)
        # Last: it adds the middleware, whose hooks are found through what is above.
        super().__init__(middleware=middleware)
        self.queues: set[str] = set()

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the `before_` hooks of a signal; see `HookRunner`."""
        self._hooks.before(signal, args, kwargs)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the `after_` hooks of a signal; see `HookRunner`."""
        self._hooks.after(signal, args, kwargs)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> Consumer:
        """Make a consumer of a queue.

        Parameters:
            queue_name: Its name.
            prefetch: How many messages may be held, where no worker says how many threads it has.
            timeout: Milliseconds after which it returns None.
        """
        session = self._sessions.get()
        session.allow(prefetch)
        session.queues.add(queue_name)
        intake = Intake(self, session, self._deaths_of, self.encoder, hold_ms=self.hold_unknown)
        return FairConsumer(session, self.base, queue_name, timeout, intake)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; no effect when it is. Delayed messages need no queue of their own."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of all declared queues."""
        return set(self.queues)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, now or, from a message's after hooks, together with that message's end.

        Parameters:
            message: What to send.
            delay: Milliseconds until it is due, at most ten years. Default None: now.

        Returns:
            The message as it was sent.
        """
        return self._enqueuer.enqueue(message, delay)

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
        return self._enqueuer.enqueue_many(messages, delay)

    def enforce(self, rule: Rule) -> bool:
        """Decide at fetch, from now on, what a guard would decide before a job starts; see `Delegation.enforce`."""
        return self._delegation.enforce(rule)

    def shut(self, source: str, gates: Mapping[str, tuple[int, str]]) -> None:
        """Replace all gates that a source blocks; an empty mapping unblocks them all. See `Configuration.shut`."""
        self._configuration.shut(source, gates)

    def park(self, message: AnyMessage, *, delay_ms: int, cause: str, key: str | None = None) -> None:
        """Send a message that waits for something; from a message's after hooks, together with that message's end.

        Parameters:
            message: what waits.
            delay_ms: milliseconds until it is due all the same; more than ten years are cut to that, with a warning.
            cause: why it waits, for people.
            key: what `release` may call it by. Default None: nothing.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        raw = message._message if isinstance(message, MessageProxy) else message
        self._enqueuer.enqueue(raw, delay_ms, parked=f"{cause.replace(chr(10), ' ')}\n{key or ''}")

    def release(self, key: str) -> int:
        """Make due what is parked under a key. Returns how many messages.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return self._configuration.release(printable(key))

    def on_ack(
        self, message: AnyMessage, operation: tuple[str, str, str, tuple[str, str] | None, int]
    ) -> bool:
        """Change a hash together with the end of a message; the operation is the fields of an `AckOperation`.

        Returns:
            False where that is not possible: the message is not leased here, or the key is not one of this broker's.
        """
        return self._delegation.on_ack(message, AckOperation(*operation))

    def refund_start(self, message: AnyMessage) -> None:
        """Give a message's start back to its actor's rate when the message ends: it did not run."""
        self._delegation.refund_start(message)

    def server_now_ms(self) -> int:
        """The server's time in epoch milliseconds."""
        return server_time_ms(self.client)

    def configure_orgs(self, shares: Mapping[str, OrgShare]) -> int:
        """Replace the shares of all orgs, live; those not named have weight 1 and the default.

        Returns:
            How many changed.

        Raises:
            ConnectionClosed: the server does not answer.

        Example:
            >>> broker.configure_orgs({"acme": OrgShare(weight=3, max_active=20)})
        """
        return self._configuration.configure_orgs(shares)

    def report_death(self, worker_id: str, code: int | None, *, stopped: bool) -> None:
        """Report that a supervisor saw a worker end: what it held comes back at once. See `Configuration`."""
        self._configuration.report_death(worker_id, code, stopped=stopped)

    def queue_state(self, queue_name: str) -> QueueState:
        """How full a queue is, in one round trip.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return self._inspector.queue_state(queue_name)

    def parked_by_cause(self, queue_name: str) -> dict[str, int]:
        """How many messages of a queue are parked, by the first word of what they wait for, in one round trip.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return self._inspector.parked_by_cause(queue_name)

    @property
    def worker_id(self) -> str | None:
        """Who the worker of this process is to the broker; None while there is none."""
        session = self._sessions.current
        return session.worker_id if session is not None else None

    @property
    def unwell(self) -> str | None:
        """Which calls of this process's worker fail although the server answers, and why; None where it is well."""
        session = self._sessions.current
        return session.failures.text if session is not None else None

    def flush(self, queue_name: str) -> None:
        """Drop all of a queue's messages, dead ones included."""
        flush(self.client, self.base, queue_name)

    def flush_all(self) -> None:
        """Drop all messages of all declared queues."""
        for queue_name in self.get_declared_queues():
            self.flush(queue_name)

    def join(self, queue_name: str, *, interval: int = 20, timeout: int | None = None) -> None:
        """Wait until a queue has no message left that is ready, delayed or running; for tests.

        Parameters:
            queue_name: Its name.
            interval: Milliseconds between two polls. Default 20.
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

        As there, delayed ones count, and the name of the queue that it has for them (`<queue>.DQ`) means the same.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return int(ask(self.client, "HGET", f"{self.base}:n", q_name(queue_name)) or 0)

    def close(self) -> None:
        """Return what was fetched, report what is finished, and close the connections.

        Those of a `client` that was passed in stay its owner's.
        """
        self._sessions.end()
        self._sessions.disconnect()
        self._sender.disconnect()
        for client in self._made_client:
            with suppress(redis.RedisError):
                client.connection_pool.disconnect()

    def _check_server(self) -> None:
        check_server(self.client, self.base)
        Schema(self.client, self.base).convert()

    def _booted(self) -> None:
        release_held(self.actors, self.release)

    def _open_session(
        self, client: "redis.Redis", waiting_client: "redis.Redis", worker: Worker | None
    ) -> WorkerSession:
        mode: Mode = "probe" if self.probe_only else "share" if self.probe_elsewhere else "any"
        return WorkerSession(
            client,
            waiting_client,
            self.base,
            heartbeat_timeout_ms=self.heartbeat_timeout,
            dead_ttl_ms=self.dead_message_ttl,
            stall_timeout_ms=self.stall_timeout,
            worker=worker,
            max_active=lambda: self._delegation.max_active,
            age_share=self.age_share,
            mode=mode,
            facts=self.worker_facts,
        )

    def _deaths_of(self, message_id: str) -> str:
        deaths = ask(self.client, "HGET", f"{self.base}:d", to_wire(message_id))
        return deaths.decode() if isinstance(deaths, bytes) else "0|0|unknown"
