"""What guards may hand over to the broker, which decides it at fetch and carries it out with a message's end."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, cast

import redis
from dramatiq import Message
from dramatiq.broker import MessageProxy

from .configuration import MaxActive, OrgShare, Rule, Rules, StartRate
from .leasing.lease import LeasedMessage, Operation, Sent
from .scripts import away

#: A change of a hash that goes along with an end: key, field, what it has to be, the field and value to set (None: the
#: key is deleted), and how long the key lives then, in milliseconds.
GivenOperation = tuple[str, str, str, tuple[str, str] | None, int]


class DelegatingBroker(ABC):
    """The interface between guards and broker, mixed into it.

    Guards look for these methods by name; on brokers without them they do it all themselves.
    """

    client: "redis.Redis"
    base: str
    _rules: Rules
    _encode: Callable[..., Sent]
    _max_active: int | None = None

    def enforce(self, rule: Rule) -> bool:
        """Whether the broker decides this at fetch from now on.

        Parameters:
            rule: of kind `max_active` (has `default`), `concurrency`, `rate` (has `actor`, `interval_ms`, 0 for none
                any more, and `tolerance_ms`) or `gates`.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        match rule.kind:
            case "max_active":
                self._max_active = cast(MaxActive, rule).default
                self._limit_active(self._max_active)
            case "rate":
                rate = cast(StartRate, rule)
                self._rules.limit(rate.actor, rate if rate.interval_ms > 0 else None)
            case "concurrency" | "gates":
                pass
            case _:
                return False
        return True

    def shut(self, source: str, gates: Mapping[str, tuple[int, str]]) -> None:
        """Replace all that `source` has shut; an empty mapping opens it all.

        Parameters:
            source: who shuts.
            gates: `q:<queue>`, `a:<actor>`, `o:<org>` or `x:<org>:<actor>`; until when, in milliseconds since
                1970 by the server's clock (0: until it is opened), and why.

        Raises:
            ConnectionClosed: the server does not answer.
            ValueError: a gate is none of these.
        """
        self._rules.shut(source, gates)

    def park(
        self, message: "Message[Any] | MessageProxy", *, delay_ms: int, cause: str, key: str | None = None
    ) -> None:
        """Send a message that waits for something; from a message's after hooks, together with that message's end.

        Parameters:
            message: what waits.
            delay_ms: until it is due all the same.
            cause: why it waits, for people.
            key: what `release` may call it by. Default None: nothing.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        raw = message._message if isinstance(message, MessageProxy) else message
        on_one_row = cause.replace("\n", " ")
        self._enqueue(raw, max(0, delay_ms), f"{on_one_row}\n{key or ''}")

    def release(self, key: str) -> int:
        """Make due what is parked under a key; how many messages.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        return self._rules.release(key)

    def on_ack(self, message: "Message[Any] | MessageProxy", operation: GivenOperation) -> bool:
        """Whether the broker changes a hash together with the end of a message, if the lease is still this worker's.

        Parameters:
            message: that runs here.
            operation: key, field, what it has to be, new field and value (None: the key is deleted), and how long the
                key lives then, in milliseconds.
        """
        key, field, expected, new, ttl_ms = operation
        if not isinstance(message, LeasedMessage) or not key.startswith(f"{self.base}:"):
            return False
        message.lease.operations.append(Operation(key, field, expected, *(new or ("", "")), ttl_ms))
        return True

    def refund_start(self, message: "Message[Any] | MessageProxy") -> None:
        """The attempt was none: its start is given back to the actor's rate when the message ends."""
        if isinstance(message, LeasedMessage):
            message.lease.refund = True

    def configure_orgs(self, shares: Mapping[str, OrgShare]) -> int:
        """Replace the shares of all orgs, live; those not named have weight 1 and the default. How many changed.

        Raises:
            ConnectionClosed: the server does not answer.

        Example:
            >>> broker.configure_orgs({"acme": OrgShare(weight=3, max_active=20)})
        """
        return self._rules.configure_orgs(shares)

    def report_death(self, worker_id: str, code: int | None, *, stopped: bool) -> None:
        """A supervisor saw a worker end: what it held comes back at once.

        Parameters:
            worker_id: whose.
            code: exit code, or the negative number of the signal that ended it.
            stopped: it was told to end, so that its messages are not to blame.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        self._rules.report_death(worker_id, code, stopped=stopped)

    def server_now_ms(self) -> int:
        """Milliseconds since 1970 by the server's clock.

        Raises:
            ConnectionClosed: the server does not answer.
        """
        try:
            seconds, microseconds = self.client.time()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise away(error) from error
        return seconds * 1_000 + microseconds // 1_000

    @abstractmethod
    def _enqueue(self, message: Message[Any], delay: int | None, parked: str = "") -> Message[Any]:
        """Send now, or with the end of the message whose after hooks run."""

    @abstractmethod
    def _limit_active(self, most: int | None) -> None:
        """A worker that runs already hears of it too."""
