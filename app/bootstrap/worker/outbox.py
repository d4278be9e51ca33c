"""Wires the outbox: how messages are made, how they reach the broker, and who relays them."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import dramatiq
import redis
from dramatiq import Broker, Message
from dramatiq.errors import BrokerConnectionError
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel

from domain.errors import DatabaseUnavailable, InvalidInput, PermanentError
from middleware import Guard, GuardError, emit_counter, emit_gauge
from middleware.base.messages import as_redelivery, org_of
from middleware.base.payloads import dumps

from .periodic_tasks import BackgroundTasks, PeriodicTask

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.outbox import EncodedMessage, Relay, SendBytes, SqlOutbox

#: Seconds between two looks at how much lies in the outbox.
MEASURE_EVERY_S = 15.0


class UnknownActor(Exception):
    """This process does not know the actor; another one, or a newer release, may."""


def build_outbox(broker: Callable[[], Broker] = dramatiq.get_broker) -> "SqlOutbox":
    """The outbox of this process. Needs no connection of its own: it writes in its caller's transactions.

    Parameters:
        broker: gives the broker whose actors it sends to; asked when something is sent. Default: the process's own.

    Example:
        >>> outbox = build_outbox()
        >>> with UnitOfWork(engine, org_id) as unit:
        ...     outbox.send(unit, "domain_export", DomainExport(org_id=org_id, domain_id=domain_id, format="csv"))
    """
    from adapters.outbox import SqlOutbox

    return SqlOutbox(MessageEncoder(broker), poke=lambda: _wake(broker()))


def relay_outbox(engine: "Engine", broker: Broker) -> PeriodicTask:
    """The periodic task of every worker to send what is due. A `MakePeriodicTask`."""
    from adapters.outbox import Relay

    relay = Relay(engine, broker_sender(broker), count=emit_counter)
    return _Measured(relay, clock_s=time.monotonic)


class MessageEncoder:
    """`adapters.outbox.EncodeMessage` on a broker's actors: a message as `actor.send` makes it, without sending it.

    The guards that look at what it says are asked here, where the caller can be told: `Contracts` normalises the
    payload, as at send. Those that charge are asked when a relay sends it. It joins the trace it is made in, and is
    marked idempotent, since a relay may have to send it twice; an actor's own `idempotent=False` is respected.

    Parameters:
        broker: gives the broker.
    """

    def __init__(self, broker: Callable[[], Broker]) -> None:
        self._broker = broker
        self._propagator = TraceContextTextMapPropagator()

    def __call__(
        self,
        actor_name: str,
        contract: BaseModel | Mapping[str, object] | None,
        *,
        message_id: UUID,
        options: Mapping[str, object],
    ) -> "EncodedMessage":
        from adapters.outbox import EncodedMessage

        broker = self._broker()
        actor = broker.actors.get(actor_name)
        if actor is None:
            # A fault of the program or its release, not of what it works on.
            raise PermanentError(f"no actor {actor_name} in this process; check the name, and import actors")
        args = () if contract is None else (contract,)
        given: dict[str, Any] = dict(options)
        made: Message[Any] = actor.message_with_options(args=args, **given)
        message = made.copy(message_id=str(message_id))
        try:
            for guard in _checking(broker):
                guard.check(broker, message, None)
            dumps(actor_name, message.args)
        except GuardError as error:
            # Its text names fields, and never quotes one.
            raise InvalidInput(str(error)) from None
        if actor.options.get("idempotent") is not False:
            message.options["idempotent"] = True
        self._propagator.inject(message.options)
        return EncodedMessage(message.encode(), _org_id(message))


def broker_sender(broker: Broker) -> "SendBytes":
    """Hands messages of the outbox to the broker, telling apart what is wrong with one and what with the broker."""
    from adapters.outbox import BrokerUnavailable

    def send(data: bytes) -> None:
        message = Message.decode(data)
        if message.actor_name not in broker.actors:
            raise UnknownActor(message.actor_name)
        try:
            # It may be in the broker already, sent by a relay that died before it could say so.
            broker.enqueue(as_redelivery(message, uuid4().hex))
        except (BrokerConnectionError, redis.RedisError) as error:
            raise BrokerUnavailable(
                f"the broker did not take a message ({type(error).__name__}); check that it runs and has memory"
            ) from error
        except DatabaseUnavailable as error:
            # Whatever is wrong with it is not wrong with the message.
            raise BrokerUnavailable(f"the regions of orgs are not known: {error}") from error

    return send


class _Measured:
    """The relay as a periodic task, and now and then a look at what lies in the outbox."""

    def __init__(self, relay: "Relay", clock_s: Callable[[], float]) -> None:
        self._relay = relay
        self._clock_s = clock_s
        self._next_look_s = clock_s()

    def __call__(self) -> bool:
        if self._clock_s() >= self._next_look_s:
            self._next_look_s = self._clock_s() + MEASURE_EVERY_S
            backlog = self._relay.backlog()
            emit_gauge("outbox_pending", backlog.pending)
            emit_gauge("outbox_refused", backlog.refused)
            emit_gauge("outbox_oldest_age_seconds", backlog.oldest_age_s)
        return self._relay()


def _wake(broker: Broker) -> None:
    for each in broker.middleware:
        if isinstance(each, BackgroundTasks):
            each.wake()


def _checking(broker: Broker) -> list[Guard[Any]]:
    return [each for each in broker.middleware if isinstance(each, Guard) and each.checks_payload]


def _org_id(message: "Message[Any]") -> UUID | None:
    org = org_of(message)
    try:
        return None if org is None else UUID(org)
    except ValueError:
        raise InvalidInput(f"the org of a message for {message.actor_name} must be a UUID") from None
