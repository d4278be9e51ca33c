"""The base of every guard: Dramatiq's hooks made safe to decide in."""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, SkipMessage
from dramatiq.middleware import Retries as DramatiqRetries
from typing_extensions import TypeVar

from .attempts import delivery_of
from .bounds import check_at_least
from .emit import emit_counter
from .errors import GuardError, Parked
from .messages import MESSAGE_OPTIONS
from .options import Option as Option  # with `Position`, what a guard's class says of itself
from .sending import ADMITTED, is_first_question
from .stack import Position as Position
from .stack import check_order

#: What a guard does when it cannot decide, because its store is away or it has a bug.
OnError = Literal["park", "allow"]

#: How long a message is parked that could not be decided on, in milliseconds.
DEFAULT_UNDECIDED_DELAY_MS = 5_000

#: What a guard takes for an attempt; None for guards that take nothing.
HeldT = TypeVar("HeldT", default=None)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended."""

    #: What the function returned.
    result: object = None
    #: What it, or a hook before it, raised.
    exception: BaseException | None = None
    #: Another guard decided that the message is done without running.
    skipped: bool = False

    @property
    def parked(self) -> bool:
        """Return whether the message comes back later, without using a retry."""
        return isinstance(self.exception, Parked)

    @property
    def succeeded(self) -> bool:
        """Return whether the function ran and returned."""
        return self.exception is None and not self.skipped


class Guard(Middleware, Generic[HeldT]):
    """A cross-cutting concern, as three decisions that subclasses may make.

    Dramatiq's own hooks fail open: an error in a `before_` hook is logged *and the job runs*, an `after_` hook
    runs even when its `before_` never did, and `before_enqueue` runs again for every retry and every delayed
    message that comes due. Here

    - `check` is asked once in a message's life, when it is first sent;
    - `admit` is asked before each attempt, and an error of its own becomes what `on_error` says;
    - `settle` gets back what `admit` took, when the attempt is over, however it ends and whoever stopped it.

    Parameters:
      on_error: What an error of the guard's own means: `"park"` the message for a while (the default: nothing
        runs unguarded) or `"allow"` it to run.
      undecided_delay_ms: How long such a message is parked. Default 5,000.

    Example:
      >>> class Curfew(Guard):
      ...     def admit(self, broker, message):
      ...         if is_night():
      ...             raise Parked("night", delay_ms=3_600_000)

      >>> class Desks(Guard[Desk]):
      ...     def admit(self, broker, message):
      ...         return self.desks.take()
      ...     def settle(self, broker, message, held, outcome):
      ...         self.desks.give_back(held)
    """

    #: `check` looks at what a message says, takes nothing, and may be asked of one that is only kept to be sent later.
    checks_payload: ClassVar[bool] = False
    #: Where in the stack it stands; None for anywhere.
    position: ClassVar[Position | None] = None
    #: What the guard writes into messages, or reads there.
    message_options: ClassVar[tuple[Option, ...]] = (Option(ADMITTED, "attempt"), *MESSAGE_OPTIONS)

    def __init__(
        self, *, on_error: OnError = "park", undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS
    ) -> None:
        if on_error not in ("park", "allow"):
            raise ValueError(f"on_error must be 'park' or 'allow', not {on_error!r}")
        check_at_least(1, undecided_delay_ms=undecided_delay_ms)
        self.on_error: OnError = on_error
        self.undecided_delay_ms = undecided_delay_ms

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A broker that leaves out empty hooks, as ours does, is not to ask a guard that says nothing.
        asks = cls.check is not Guard.check
        if cls.before_enqueue in (Guard.before_enqueue, Middleware.before_enqueue):
            cls.before_enqueue = Guard.before_enqueue if asks else Middleware.before_enqueue  # type: ignore[assignment]

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        """Decide on a message that is sent for the first time; what a `GuardError` says reaches the caller."""

    def admit(self, broker: Broker, message: MessageProxy) -> HeldT | None:
        """Decide on an attempt: return to let it pass, raise `Parked`, `Skipped` or another `GuardError`.

        A guard that raises takes back what it charged itself.

        Returns:
          What was taken for the attempt, for `settle`; None when nothing was, and `settle` is not called.
        """
        return None

    def settle(self, broker: Broker, message: MessageProxy, held: HeldT, outcome: Outcome) -> None:
        """Finish, release or refund what `admit` returned for this attempt. Errors are logged and counted.

        Called once, in the thread that made the attempt. A guard that only wants to see how attempts end is an
        `Observer`.
        """

    def after_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        # Actors that were declared before the guard was added have this hook alone.
        self.before_declare_actor(broker, actor)

    def before_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        if is_first_question(self, message):
            try:
                self.check(broker, message, delay)
            except GuardError:
                raise
            except Exception as error:  # noqa: BLE001  # a caller cannot be parked; `admit` is asked again
                self._count("check", error)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        delivery = delivery_of(message)
        delivery.forget(self)
        # Also what was sent before there were guards is in: its retry is not asked again.
        message.options[ADMITTED] = True
        if message.failed:
            return
        try:
            held = self.admit(broker, message)
        except (GuardError, SkipMessage):
            raise
        except Exception as error:
            self._count("admit", error)
            if self.on_error == "park":
                raise Parked(
                    f"{type(self).__name__} cannot decide", delay_ms=self.undecided_delay_ms
                ) from error
        else:
            if held is not None:
                delivery.hold(self, held)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        self._conclude(broker, message, Outcome(result=result, exception=exception))

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self._conclude(broker, message, Outcome(skipped=True))

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        check_order(broker.middleware)

    def _conclude(self, broker: Broker, message: MessageProxy, outcome: Outcome) -> None:
        held = delivery_of(message).release(self)
        try:
            if held is not None:
                self.settle(broker, message, held, outcome)
        except Exception as error:  # noqa: BLE001  # Dramatiq would swallow it without a trace
            self._count("settle", error)
        if outcome.parked:
            _refund_retry(self, broker, message)

    def _count(self, decision: str, error: Exception) -> None:
        name = type(self).__name__
        emit_counter("guard_errors_total", {"guard": name, "decision": decision})
        # The class alone: the text of a foreign error may quote what it was given.
        logger.warning("Guard %s could not %s: %s", name, decision, type(error).__name__)


def _refund_retry(guard: Middleware, broker: Broker, message: MessageProxy) -> None:
    """Beside Dramatiq's own `Retries`, which counts every return as an attempt, take one off beforehand.

    Works where guards stand behind it, as `add_middleware` puts them: after-hooks run in reverse order.
    """
    delivery = delivery_of(message)
    if delivery.retry_refunded:
        return
    dramatiq_retries = [each for each in broker.middleware if type(each) is DramatiqRetries]
    if dramatiq_retries and broker.middleware.index(dramatiq_retries[-1]) < broker.middleware.index(guard):
        delivery.retry_refunded = True
        message.options["retries"] = message.options.get("retries", 0) - 1
