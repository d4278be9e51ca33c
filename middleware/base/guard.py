"""The base of every guard: Dramatiq's hooks made safe to decide in."""

import logging
import threading
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dramatiq import Broker, Message, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, SkipMessage
from dramatiq.middleware import Retries as DramatiqRetries

from .emit import emit_counter
from .errors import GuardError, Parked
from .messages import MESSAGE_OPTIONS
from .options import Option
from .stack import Position, check_order

#: What a guard does when it cannot decide, because its store is away or it has a bug.
OnError = Literal["park", "allow"]

#: How long a message is parked that could not be decided on, in milliseconds.
DEFAULT_UNDECIDED_DELAY_MS = 5_000

#: Stamped into a message's options the first time it is enqueued; from then on it is in.
ADMITTED = "admitted"

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
        """Whether the message comes back later, uncharged."""
        return isinstance(self.exception, Parked)

    @property
    def succeeded(self) -> bool:
        """Whether the function ran and returned."""
        return self.exception is None and not self.skipped


class Guard(Middleware):
    """One cross-cutting concern, as three decisions that subclasses may make.

    Dramatiq's own hooks fail open: an error in a `before_` hook is logged *and the job runs*, an `after_` hook
    runs even when its `before_` never did, and `before_enqueue` runs again for every retry and every delayed
    message that comes due. Here

    - `check` is asked once in a message's life, when it is first sent;
    - `admit` is asked before each attempt, and an error of its own becomes what `on_error` says;
    - `settle` is told how the attempt ended, if and only if `admit` let it pass.

    Parameters:
      on_error: What an error of the guard's own means: `"park"` the message for a while (the default: nothing
        runs unguarded) or `"allow"` it to run.
      undecided_delay_ms: How long such a message is parked. Default 5,000.

    Example:
      >>> class Curfew(Guard):
      ...     def admit(self, broker, message):
      ...         if is_night():
      ...             raise Parked("night", delay_ms=3_600_000)
    """

    #: Where in the stack it stands; None for anywhere.
    position: ClassVar[Position | None] = None
    #: What the guard writes into messages, or reads there.
    message_options: ClassVar[tuple[Option, ...]] = (Option(ADMITTED, "attempt"), *MESSAGE_OPTIONS)

    def __init__(
        self, *, on_error: OnError = "park", undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS
    ) -> None:
        if on_error not in ("park", "allow"):
            raise ValueError(f"on_error must be 'park' or 'allow', not {on_error!r}")
        if undecided_delay_ms < 1:
            raise ValueError(f"undecided_delay_ms must be at least 1, not {undecided_delay_ms}")
        self.on_error: OnError = on_error
        self.undecided_delay_ms = undecided_delay_ms
        # A worker thread has one message in hand, and its hooks run in that thread.
        self._admitted = threading.local()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A broker that leaves out empty hooks, as ours does, is not to ask a guard that says nothing.
        asks = cls.check is not Guard.check
        if cls.before_enqueue in (Guard.before_enqueue, Middleware.before_enqueue):
            cls.before_enqueue = Guard.before_enqueue if asks else Middleware.before_enqueue  # type: ignore[assignment]

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        """Decide on a message that is sent for the first time; what a `GuardError` says reaches the caller."""

    def admit(self, broker: Broker, message: MessageProxy) -> None:
        """Decide on an attempt: return to let it pass, raise `Parked`, `Skipped` or another `GuardError`.

        A guard that raises takes back what it charged itself.
        """

    def settle(self, broker: Broker, message: MessageProxy, outcome: Outcome) -> None:
        """Finish, release or refund what `admit` took for this attempt. Errors are logged and counted."""

    def before_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        if _first_time(self, message):
            try:
                self.check(broker, message, delay)
            except GuardError:
                raise
            except Exception as error:  # noqa: BLE001  # a caller cannot be parked; `admit` is asked again
                self._count("check", error)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self._admitted.message = None
        # Also what was sent before there were guards is in: its retry is not asked again.
        message.options[ADMITTED] = True
        if message.failed:
            return
        try:
            self.admit(broker, message)
        except (GuardError, SkipMessage):
            raise
        except Exception as error:
            self._count("admit", error)
            if self.on_error == "park":
                raise Parked(
                    f"{type(self).__name__} cannot decide", delay_ms=self.undecided_delay_ms
                ) from error
        else:
            self._admitted.message = message

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        self._settle(broker, message, Outcome(result=result, exception=exception))
        if isinstance(exception, Parked):
            _give_the_attempt_back(self, broker, message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self._settle(broker, message, Outcome(skipped=True))

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        check_order(broker.middleware)

    def _settle(self, broker: Broker, message: MessageProxy, outcome: Outcome) -> None:
        if getattr(self._admitted, "message", None) is not message:
            return
        self._admitted.message = None
        try:
            self.settle(broker, message, outcome)
        except Exception as error:  # noqa: BLE001  # Dramatiq would swallow it without a trace
            self._count("settle", error)

    def _count(self, decision: str, error: Exception) -> None:
        name = type(self).__name__
        emit_counter("guard_errors_total", {"guard": name, "decision": decision})
        # The class alone: the text of a foreign error may quote what it was given.
        logger.warning("Guard %s could not %s: %s", name, decision, type(error).__name__)


class _Enqueueing(threading.local):
    """The message that this thread enqueues for the first time, and the guards that were asked about it."""

    message: "Message[Any] | None" = None
    asked: set[int]


_enqueueing = _Enqueueing()


def _first_time(guard: Guard, message: "Message[Any]") -> bool:
    """Whether a guard is to be asked: once a message, also when a broker runs the hooks per connection attempt."""
    if ADMITTED not in message.options:
        message.options[ADMITTED] = True
        _enqueueing.message = message
        _enqueueing.asked = set()
    if _enqueueing.message is not message or id(guard) in _enqueueing.asked:
        return False
    _enqueueing.asked.add(id(guard))
    return True


def _give_the_attempt_back(guard: Guard, broker: Broker, message: MessageProxy) -> None:
    """Beside Dramatiq's own `Retries`, which counts every return as an attempt, take one off beforehand.

    Works where guards stand behind it, as `add_middleware` puts them: after-hooks run in reverse order.
    """
    delivery = vars(message)  # a proxy is made for each delivery, and every guard gets the same one
    if delivery.setdefault("_attempt_given_back", False):
        return
    dramatiq_retries = [each for each in broker.middleware if type(each) is DramatiqRetries]
    if dramatiq_retries and broker.middleware.index(dramatiq_retries[-1]) < broker.middleware.index(guard):
        delivery["_attempt_given_back"] = True
        message.options["retries"] = message.options.get("retries", 0) - 1
