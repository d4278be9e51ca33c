"""What became of an attempt. It is known only when its message is acked or rejected, so it is kept until then."""

import re
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from dramatiq import Message
from dramatiq.broker import MessageProxy

from .classification import category_of, class_name, fingerprint, is_shutdown
from .errors import Parked

#: How an attempt can end, and what it is until then.
#:
#: - running: it has begun; how it ends is not known yet, or its worker died without a word.
#: - succeeded: the function returned.
#: - failed: it raised, and the message is not tried again.
#: - retried: it raised, and the message comes back with one retry less.
#: - parked: the message comes back, and the time cost it no retry.
#: - skipped: a guard found that there is nothing to do, a duplicate for example.
#: - cancelled: somebody asked for the job to stop.
#: - expired: the message was too old to be worth running.
#: - died: nobody was left to say how it ended.
AttemptOutcome = Literal[
    "running", "succeeded", "failed", "retried", "parked", "skipped", "cancelled", "expired", "died"
]

#: Characters of a cause that are kept.
MAX_CAUSE_CHARS = 200

#: Anybody's exception may call its category anything, and labels and columns need a word.
_WORD = re.compile(r"[a-z][a-z_]{0,31}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_DELIVERY = "_pressroom_delivery"


@dataclass(kw_only=True)
class Attempt:
    """An attempt at a message, from the moment the first watching guard saw it."""

    #: 1 for the first.
    number: int
    started_at: datetime
    finished_at: datetime | None = None
    duration_ms: float = 0.0
    #: None until the message is acked or rejected.
    outcome: AttemptOutcome | None = None
    #: Class, category and fingerprint of what it raised; never its text.
    error_class: str | None = None
    error_category: str | None = None
    fingerprint: str | None = None
    #: Why it was parked or skipped, where the guard said so.
    cause: str | None = None
    #: What a guard keeps of its own until the attempt is over, under its id.
    kept: dict[int, Any] = field(default_factory=dict)

    _begun_s: float = field(default_factory=time.perf_counter)
    _before: tuple[object, object] = (None, None)
    _state: Literal["running", "returned", "raised", "parked", "skipped"] = "running"

    def finish(self, exception: BaseException | None = None, *, skipped: bool = False) -> None:
        """Keep how the function ended; only the first call counts, so any number of guards may report it."""
        if self._state != "running":
            return
        self._stop_the_clock()
        if skipped:
            # Dramatiq does not say why, but its hook runs where the exception is being handled.
            exception = sys.exception()
            self._state = "skipped"
        elif exception is None:
            self._state = "returned"
        else:
            self._state = "parked" if isinstance(exception, Parked) else "raised"
        if exception is not None:
            self._remember(exception)

    def conclude(self, message: MessageProxy) -> AttemptOutcome:
        """Decide what became of it, now that its message is about to be acked or rejected."""
        if self._state == "running":  # an interrupt in another hook kept every report from coming
            self._stop_the_clock()
        if self.outcome is None:
            self.outcome = self._outcome(message)
        return self.outcome

    def _stop_the_clock(self) -> None:
        self.duration_ms = (time.perf_counter() - self._begun_s) * 1_000
        self.finished_at = datetime.now(UTC)

    def _remember(self, exception: BaseException) -> None:
        cause = getattr(exception, "cause", "shutdown" if is_shutdown(exception) else None)
        self.cause = cause[:MAX_CAUSE_CHARS] if isinstance(cause, str) else None
        category = word(category_of(exception))
        if self._state == "raised" or category != "unknown":
            self.error_category = category
        if self._state == "raised":
            self.error_class = class_name(exception)
            self.fingerprint = fingerprint(exception)

    def _outcome(self, message: MessageProxy) -> AttemptOutcome:
        cancelled = "cancelled" in (self.error_category, self.cause)
        if self._state == "running":
            return "died"
        if self._state == "skipped":
            return "cancelled" if cancelled else "expired" if message.failed else "skipped"
        if message.failed:
            return "cancelled" if cancelled else "failed"
        if self._state == "returned":
            return "succeeded"
        retries, parked = _counts(message)
        if self._state == "parked" or parked != self._before[1]:
            return "parked"
        if retries != self._before[0]:
            return "retried"
        return "cancelled" if cancelled else "failed"


class Delivery:
    """The delivery of a message: its attempt, what each guard took for it, and who was notified of what.

    A guard writes nothing else of a delivery, neither into the message nor into its thread.

    Example:
        >>> delivery_of(message).hold(guard, slot)
    """

    __slots__ = ("_held", "_reported", "_thread_id", "attempt", "retry_refunded")

    def __init__(self) -> None:
        #: None when it never came to one.
        self.attempt: Attempt | None = None
        #: A park was taken off what Dramatiq's own `Retries` counts.
        self.retry_refunded = False
        self._held: dict[int, Any] = {}
        self._thread_id = 0
        self._reported: set[tuple[str, int]] = set()

    def begin(self, message: MessageProxy) -> Attempt:
        """Return the attempt, made when nobody has asked before."""
        if self.attempt is None:
            self.attempt = Attempt(
                number=_number(message), started_at=datetime.now(UTC), _before=_counts(message)
            )
        return self.attempt

    def hold(self, guard: object, held: object) -> None:
        """Keep what a guard took for this attempt."""
        self._thread_id = threading.get_ident()
        self._held[id(guard)] = held

    def forget(self, guard: object) -> None:
        """Drop what a guard took for an attempt that nobody settled."""
        self._held.pop(id(guard), None)

    def release(self, guard: object) -> Any:
        """Return what a guard took, once; None when it took nothing.

        None also in any other thread than the one that makes the attempt: whoever speaks for a job that is stuck may
        not give back what the job still uses.
        """
        return self._held.pop(id(guard), None) if threading.get_ident() == self._thread_id else None

    def is_first_report(self, what: str, whom: object) -> bool:
        """Return whether `whom` was not notified of `what` yet; brokers repeat an ack that fails."""
        fresh = (what, id(whom)) not in self._reported
        self._reported.add((what, id(whom)))
        return fresh


def delivery_of(message: MessageProxy) -> Delivery:
    """Return what is known of a delivery, for every guard the same.

    It is attached to the message's proxy: Dramatiq makes one for each delivery and gives it to all hooks, those of the
    ack in another thread; and a proxy can be no key, since it has no hash and its id is used again.

    Example:
        >>> delivery_of(message).begin(message).number
        1
    """
    known = vars(message)
    delivery: Delivery | None = known.get(_DELIVERY)
    if delivery is None:
        delivery = known[_DELIVERY] = Delivery()
    return delivery


def word(category: str) -> str:
    """Return the category if it is a plain word, else `unknown`.

    Example:
        >>> word("rate_limited"), word("user 7: hunter2")
        ('rate_limited', 'unknown')
    """
    return category if _WORD.fullmatch(category) else "unknown"


def trace_id_of(message: "MessageProxy | Message[Any]") -> str | None:
    """Return the trace the message belongs to, as 32 hexadecimal digits; None when it was sent outside any."""
    found = _TRACEPARENT.fullmatch(str(message.options.get("traceparent", "")))
    return found[1] if found else None


def _counts(message: MessageProxy) -> tuple[object, object]:
    """What the retries leave in a message: how many it had, and how often it was parked."""
    return message.options.get("retries", 0), message.options.get("parked")


def _number(message: MessageProxy) -> int:
    retries = message.options.get("retries", 0)
    return retries + 1 if isinstance(retries, int) and retries >= 0 else 1
