"""What guards ask of a broker that decides things itself, found by its methods: no broker is imported.

Such a broker keeps limits and pauses where messages are fetched, so that what may not run is not even delivered, and
lets small operations of the guards ride on the call that ends a message. On every other broker a guard does the
work itself.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerError

from .messages import org_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MaxActive:
    """A limit on how many jobs of one org run at once."""

    kind: ClassVar[Literal["max_active"]] = "max_active"
    #: None: any number.
    default: int | None


@dataclass(frozen=True, kw_only=True)
class ConcurrencyKeys:
    """Limits by the option `concurrency` of messages and actors: how many jobs with one key run at once in an org."""

    kind: ClassVar[Literal["concurrency"]] = "concurrency"


@dataclass(frozen=True, kw_only=True)
class StartRate:
    """A limit on how often an actor's jobs start, for each org: the generic cell rate algorithm (see `rate`).

    No interval means that there is no limit, or none any more.
    """

    kind: ClassVar[Literal["rate"]] = "rate"
    actor: str
    interval_ms: float
    tolerance_ms: float


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Dispatch gates: what `SupportsGates.shut` names is not fetched."""

    kind: ClassVar[Literal["gates"]] = "gates"


#: What a broker may enforce.
Rule: TypeAlias = MaxActive | ConcurrencyKeys | StartRate | Gates


class AckOperation(NamedTuple):
    """A change of a hash that is made together with a message's end, if one of its fields is as expected."""

    key: str
    field: str
    expected: str
    #: Field and value to set; None: the key is deleted.
    new: tuple[str, str] | None
    #: How long the key lives then, in milliseconds.
    ttl_ms: int


@runtime_checkable
class SupportsLimits(Protocol):
    """A broker that may decide at fetch what guards decide before a job starts."""

    def enforce(self, rule: Rule) -> bool:
        """Return whether it does so from now on, for a `Rule`."""


@runtime_checkable
class SupportsGates(Protocol):
    """A broker with dispatch gates: what is behind a shut one is not fetched."""

    def shut(self, source: str, gates: Mapping[str, tuple[int, str]]) -> None:
        """Replace everything that `source` shuts: a gate, until when in its server's epoch milliseconds (0: until it
        is opened), and why. Gates are `q:<queue>`, `a:<actor>`, `o:<org>` and `x:<org>:<actor>`."""

    def server_now_ms(self) -> int:
        """Return the time by its server's clock, in epoch milliseconds."""


@runtime_checkable
class SupportsParking(Protocol):
    """A broker that knows why a message is deferred, and can release it before its time."""

    def park(self, message: "Message[Any]", *, delay_ms: int, cause: str, key: str | None) -> object:
        """Enqueue a message that is deferred."""

    def release(self, key: str) -> int:
        """Release all that is parked under a key; returns how many."""


@runtime_checkable
class SupportsAckOperations(Protocol):
    """A broker that carries out operations in the very step that ends a message."""

    def on_ack(self, message: MessageProxy, operation: AckOperation) -> bool:
        """Return whether it will, if the message is still this worker's by then."""


@runtime_checkable
class SupportsRefund(Protocol):
    """A broker that charges starts when it fetches."""

    def refund_start(self, message: MessageProxy) -> None:
        """Refund the start of this delivery when it ends: it did not run."""


def delegate(broker: Broker, rules: Iterable[Rule]) -> bool:
    """Return whether the broker enforces all of the rules from now on; False when it does not answer.

    Example:
        >>> delegate(StubBroker(), [MaxActive(default=10)])
        False
    """
    try:
        return isinstance(broker, SupportsLimits) and all(broker.enforce(rule) for rule in rules)
    except BrokerError as error:
        logger.warning(
            "The broker does not answer what it enforces (%s); guards do it.", type(error).__name__
        )
        return False


def stamp_org(broker: Broker, message: "Message[Any]") -> None:
    """Write the message's org into its options, for a broker that looks nowhere else."""
    if message.options.get("org"):
        return
    org = org_of(message)
    if org is not None and isinstance(broker, SupportsLimits):
        message.options["org"] = org


def complete_on_ack(broker: Broker, message: MessageProxy, operation: AckOperation | None) -> bool:
    """Return whether the broker carries the operation out when the message ends, so that nobody else has to."""
    return operation is not None and _supports_ack_operations(broker) and broker.on_ack(message, operation)


def is_dramatiq_redis(broker: Broker) -> bool:
    """Return whether it is Dramatiq's own broker for Redis, which is loaded if and only if somebody has one."""
    redis_broker = sys.modules.get("dramatiq.brokers.redis")
    return redis_broker is not None and isinstance(broker, redis_broker.RedisBroker)


#: By type of broker: looking for methods takes longer than the rest of what a guard does for a message.
_supporting: dict[type, bool] = {}


def _supports_ack_operations(broker: Broker) -> TypeGuard[SupportsAckOperations]:
    kind = type(broker)
    if kind not in _supporting:
        _supporting[kind] = issubclass(kind, SupportsAckOperations)
    return _supporting[kind]
