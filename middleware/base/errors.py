"""What guards raise, those of every room.

    dramatiq.middleware.MiddlewareError
    └── GuardError                      every error of a guard; Dramatiq lets it through its hooks
        ├── InvalidPayload              at send: the message does not fit the actor's contract
        ├── RateLimited                 at send: the org is over its rate; `retry_after_s` says for how long
        ├── DuplicateMessage            at send: another message with the idempotency key is known
        ├── InvalidSchedule             at import: a cron expression or its options cannot be meant
        ├── InvalidDependency           at import or send: `depends_on` names what cannot be a circuit
        ├── MisplacedGuard              at worker boot: the middleware stands in an order that cannot work
        ├── Parked                      not now: the message comes back later and is charged no attempt
        │   └── CircuitOpen             the call was not made: what it depends on is down; pybreaker's error, too
        ├── Skipped                     never: the message is done without running
        ├── Expired                     never: it is too old to begin; it ends in the dead letters
        ├── UnknownVersion              never: no worker knew its contract's version, or nothing leads from it to ours
        └── DeadLettersUnavailable      a dead letter could not be kept; the message stays with the broker
    Exception
    ├── StoreUnavailable                a guard's store does not answer; the guard decides what that means
    └── ReplayError                     a dead letter was not sent again; the text says what to do
        ├── LetterNotFound              there is none, or it is another org's
        ├── NotReplayable               nothing can be sent that would be this message
        ├── NeedsEdit                   secrets were taken out of it; `paths` says where to fill them in
        ├── AlreadyReplayed             it was sent again before; `again=True` repeats that
        └── ReplayUncertain             the broker failed while it was handed the message
    dramatiq.threading.Interrupt        raised inside a running job, which does not swallow it: no `Exception`
    └── Cancelled                       somebody asked for the job to stop
    dramatiq.middleware.TimeLimitExceeded
    └── DeadlineExceeded                likewise: the attempt's time is used up

Dramatiq logs and swallows anything a hook raises that is not a `MiddlewareError`, and then carries on with
the message: an error outside this tree would let bad input through.
"""

from dataclasses import dataclass
from typing import ClassVar

from dramatiq import Retry
from dramatiq.middleware import MiddlewareError, SkipMessage


class GuardError(MiddlewareError):
    """A guard stopped a message on purpose."""

    #: What kind of fault it is, for dead letters and metrics.
    category: ClassVar[str] = "unknown"
    #: Whether the same message may succeed later.
    retryable: ClassVar[bool] = False


class StoreUnavailable(Exception):
    """A guard's store does not answer, or answers with an error of its own."""


@dataclass(frozen=True)
class Fault:
    """A thing that is wrong with a payload."""

    #: Dotted path of the field, `payload` for the payload as a whole.
    path: str
    #: What is wrong with it, without the value.
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class InvalidPayload(GuardError):
    """The payload does not fit the contract of the actor it is meant for. Nothing was enqueued or run.

    Raised to the caller by `actor.send(...)`. Values are never part of the text, since a field may be secret.
    """

    category: ClassVar[str] = "validation"

    def __init__(self, actor_name: str, faults: list[Fault]) -> None:
        self.actor_name = actor_name
        self.faults = faults
        super().__init__(f"{actor_name} refuses this payload: " + "; ".join(map(str, faults)))


class RateLimited(GuardError):
    """The org has used up its rate for this actor. Nothing was enqueued."""

    category: ClassVar[str] = "rate_limited"
    retryable: ClassVar[bool] = True

    def __init__(self, actor_name: str, retry_after_s: float) -> None:
        self.actor_name = actor_name
        #: Seconds until the same call succeeds.
        self.retry_after_s = retry_after_s
        super().__init__(f"{actor_name} is over its rate; try again in {retry_after_s:.3f} s")


class DuplicateMessage(GuardError):
    """Another message with this idempotency key is known. Nothing was enqueued."""

    category: ClassVar[str] = "validation"

    def __init__(self, actor_name: str, holder: str) -> None:
        self.actor_name = actor_name
        #: Id of the message that holds the key.
        self.holder = holder
        super().__init__(f"{actor_name} has this idempotency key already, by message {holder}")


class MisplacedGuard(GuardError):
    """The middleware stands in an order that cannot work; the worker does not start."""


class Parked(GuardError, Retry):
    """Not now: the message comes back after a while, and the time costs it no attempt.

    Guards raise it before a job starts; a job raises it when it finds out halfway. Both parents are needed:
    Dramatiq lets a `MiddlewareError` through its hooks, and enqueues a `Retry` again after its delay.

    Parameters:
      cause: Why, in a few words without values; shown to whoever asks why a job does not run.
      delay_ms: How long, in milliseconds.
      key: What it waits for, where one thing parks many messages: `breaker:ai`, `limit:<org>`. Default None.
    """

    retryable: ClassVar[bool] = True

    def __init__(self, cause: str, *, delay_ms: int, key: str | None = None) -> None:
        Retry.__init__(self, f"parked for {delay_ms} ms: {cause}", delay=max(0, delay_ms))
        self.cause = cause
        self.delay_ms = max(0, delay_ms)
        self.key = key


class Skipped(GuardError, SkipMessage):
    """Never: the message is done without running, and that is as it should be.

    Parameters:
      cause: Why, in a few words without values.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"skipped: {cause}")
        self.cause = cause
