"""What guards may hand over to the broker, which decides it at fetch and carries it out with a message's end.

Guards find the methods by name and know nothing of this package; on brokers without them they do it all themselves.
The shapes of what is handed over are those of the guards' own `delegation`, and `tests/test_delegation_types.py` holds
the two against each other.
"""

from typing import Any, Literal, Protocol, TypeAlias

from dramatiq import Message
from dramatiq.broker import MessageProxy

from .configuration import Configuration
from .leasing.lease import AckOperation, LeasedMessage


class MaxActive(Protocol):
    """How many messages of one org may be leased at once."""

    @property
    def kind(self) -> Literal["max_active"]:
        """Always the same."""

    @property
    def default(self) -> int | None:
        """How many; None for any number."""


class StartRate(Protocol):
    """How often an actor's jobs may start for one org, as the generic cell rate algorithm takes it."""

    @property
    def kind(self) -> Literal["rate"]:
        """Always the same."""

    @property
    def actor(self) -> str:
        """The actor's name."""

    @property
    def interval_ms(self) -> float:
        """Milliseconds from one start to the next; 0 for no limit any more."""

    @property
    def tolerance_ms(self) -> float:
        """Milliseconds by which starts may come early."""


class ConcurrencyKeys(Protocol):
    """The option `concurrency` of messages and actors: so many jobs with one key run at once, within an org."""

    @property
    def kind(self) -> Literal["concurrency"]:
        """Always the same."""


class Gates(Protocol):
    """What `shut` names is not fetched."""

    @property
    def kind(self) -> Literal["gates"]:
        """Always the same."""


#: A message as it was sent, or as it passes through a worker.
AnyMessage: TypeAlias = Message[Any] | MessageProxy
#: What a guard asks the broker to decide at fetch.
Rule: TypeAlias = MaxActive | StartRate | ConcurrencyKeys | Gates


class Delegation:
    """What the broker does for guards, besides what it keeps as configuration.

    Parameters:
        base: the shard's base key.
        configuration: where start rates are kept.
    """

    def __init__(self, base: str, configuration: Configuration) -> None:
        #: Messages of an org that may be leased at once, where its share does not say; None for any number.
        self.max_active: int | None = None
        self._base = base
        self._configuration = configuration

    def enforce(self, rule: Rule) -> bool:
        """Decide a rule at fetch from now on.

        Parameters:
            rule: of kind `max_active`, `rate`, `concurrency` or `gates`.

        Returns:
            False for a kind that is not known here: the guard decides it.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        if rule.kind == "max_active":
            self.max_active = rule.default
        elif rule.kind == "rate":
            self._configuration.limit(rule.actor, rule.interval_ms, rule.tolerance_ms)
        return rule.kind in ("max_active", "rate", "concurrency", "gates")

    def on_ack(self, message: AnyMessage, operation: AckOperation) -> bool:
        """Carry out an operation with a message's end. Returns False for what is not leased here, or not our key."""
        if not isinstance(message, LeasedMessage) or not operation.key.startswith(f"{self._base}:"):
            return False
        message.lease.operations.append(operation)
        return True

    def refund_start(self, message: AnyMessage) -> None:
        """Give a message's start back to its actor's rate when it ends."""
        if isinstance(message, LeasedMessage):
            message.lease.refund = True
