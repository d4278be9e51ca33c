"""Retries that lose nothing, charge only what failed, and stop where trying again cannot help."""

import logging
import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import dramatiq.middleware
from dramatiq import Broker, Retry
from dramatiq.broker import MessageProxy

from .base.classification import (
    category_of,
    class_name,
    fingerprint,
    is_retryable,
    is_shutdown,
    retry_after_s,
)
from .base.delegation import SupportsParking
from .base.emit import emit_counter
from .base.errors import Parked
from .base.options import Option, option_of
from .base.stack import Position

#: Milliseconds of the first back-off, doubled each time, and the most one may grow to.
DEFAULT_MIN_BACKOFF_MS = 1_000
DEFAULT_MAX_BACKOFF_MS = 60 * 60 * 1_000

#: Longest delay that Dramatiq's Redis broker keeps, in milliseconds: seven days.
LONGEST_DELAY_MS = 7 * 24 * 60 * 60 * 1_000

#: Up to here a `Retry-After` is an ordinary back-off; beyond, the message is parked for it, uncharged.
SHORT_RETRY_AFTER_S = 5.0

#: How often an enqueue that fails is repeated, and the seconds waited before each time.
ENQUEUE_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)

logger = logging.getLogger(__name__)


class Retries(dramatiq.middleware.Retries):
    """Enqueues failed messages again, with exponential back-off and full jitter.

    What it does that Dramatiq's own does not:

    - `Parked`, a worker that shuts down and a long `Retry-After` bring the message back *with its attempt count
      unchanged*: a job with one retry still has it after five parks.
    - An enqueue that fails is repeated; when it fails to the last, the message is rejected instead of acked, so
      it ends in the dead letters and not nowhere.
    - An exception that says `retryable = False` is final at once. `throws`, `max_retries`, `retry_when`,
      `min_backoff`, `max_backoff` and `on_retry_exhausted` mean what they mean in Dramatiq.
    - The message keeps the class and fingerprint of its last error. Dramatiq keeps a traceback of 30 frames
      there, whose text quotes whatever the error was given.

    A broker that knows why messages wait (see `base.delegation`) is told what a parked one waits for.

    Back-off is `random(0, min(max_backoff, min_backoff * 2**attempt))`: full jitter, which spreads a crowd of
    failures best (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

    Parameters:
      max_retries: Attempts after the first. Default 20; actors and messages may have their own.
      min_backoff: Milliseconds. Default 1,000.
      max_backoff: Milliseconds. Default one hour.
      retry_when: `(retries, exception) -> bool` instead of `max_retries`. Default None.
      uniform: Draws a number between two; for tests. Default `random.uniform`.
      wait: Waits some seconds between two tries to enqueue; for tests. Default `time.sleep`.

    Example:
      >>> broker = RedisBroker(middleware=[Contracts(), Retries(max_retries=3)])
    """

    position = Position.RETRY
    message_options = (Option("parked", "life"), Option("error", "attempt"))

    def __init__(
        self,
        *,
        max_retries: int = 20,
        min_backoff: int = DEFAULT_MIN_BACKOFF_MS,
        max_backoff: int = DEFAULT_MAX_BACKOFF_MS,
        retry_when: Callable[[int, BaseException], bool] | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if max_retries < 0 or min_backoff < 1 or max_backoff < min_backoff:
            raise ValueError(
                "max_retries must be at least 0, min_backoff at least 1, max_backoff at least min_backoff; "
                f"not {max_retries}, {min_backoff}, {max_backoff}"
            )
        super().__init__(
            max_retries=max_retries, min_backoff=min_backoff, max_backoff=max_backoff, retry_when=retry_when
        )
        self._uniform = uniform
        self._wait = wait

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        _ends.set(lambda exception: self._ends(broker, message, exception))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        _ends.set(None)
        if exception is None or message.failed:
            return
        try:
            self._decide(broker, message, exception)
        except Exception as error:
            # Dramatiq would swallow it and ack: a forged option or a bug must not lose the message.
            logger.exception("Message %s cannot be decided on; it is rejected.", message.message_id)
            emit_counter(
                "retry_undecided_total", {"actor": message.actor_name, "error": type(error).__name__}
            )
            message.fail()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        _ends.set(None)

    def _decide(self, broker: Broker, message: MessageProxy, exception: BaseException) -> None:
        park = _park_of(exception)
        if park is not None:
            _count_park(message, park)
            self._enqueue(broker, message, park.delay_ms, park)
            return
        _remember(message, exception)
        if self._is_final(broker, message, exception):
            message.fail()
            self._tell_exhausted(broker, message)
            return
        delay_ms = self._delay_ms(broker, message, exception)
        message.options["retries"] = _retries(message) + 1
        self._enqueue(broker, message, delay_ms)

    def _ends(self, broker: Broker, message: MessageProxy, exception: BaseException) -> bool:
        return _park_of(exception) is None and self._is_final(broker, message, exception)

    def _is_final(self, broker: Broker, message: MessageProxy, exception: BaseException) -> bool:
        option = partial(option_of, broker, message)
        throws = option("throws")
        if (throws and isinstance(exception, throws)) or not is_retryable(exception):
            return True
        retry_when = option("retry_when", self.retry_when)
        if retry_when is not None:
            return not retry_when(_retries(message), exception)
        most = option("max_retries", self.max_retries)
        return most is not None and _retries(message) >= int(most)

    def _delay_ms(self, broker: Broker, message: MessageProxy, exception: BaseException) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        option = partial(option_of, broker, message)
        first = int(option("min_backoff", self.min_backoff))
        most = min(int(option("max_backoff", self.max_backoff)), LONGEST_DELAY_MS)
        # Past 2**32 every sensible first back-off has long met its bound.
        ceiling = min(most, first * 2 ** min(_retries(message), 32))
        least_ms = int((retry_after_s(exception) or 0) * 1_000)
        return max(least_ms, int(self._uniform(0, ceiling)))

    def _tell_exhausted(self, broker: Broker, message: MessageProxy) -> None:
        target = option_of(broker, message, "on_retry_exhausted")
        if target:
            most = option_of(broker, message, "max_retries", self.max_retries)
            counts = {"retries": _retries(message), "max_retries": most}
            broker.get_actor(target).send(message.asdict(), counts)

    def _enqueue(
        self, broker: Broker, message: MessageProxy, delay_ms: int, park: "_Park | None" = None
    ) -> None:
        for wait_s in (*ENQUEUE_WAITS_S, None):
            try:
                # A proxy is not a message, and the broker copies what it is given.
                if park is not None and isinstance(broker, SupportsParking):
                    broker.park(message._message, delay_ms=delay_ms, cause=park.cause, key=park.key)
                else:
                    broker.enqueue(message._message, delay=min(delay_ms, LONGEST_DELAY_MS))
            except Exception as error:
                if wait_s is None:
                    logger.exception(
                        "Message %s cannot be enqueued again; it is rejected.", message.message_id
                    )
                    emit_counter("retry_enqueue_failed_total", {"actor": message.actor_name})
                    message.fail()
                    return
                logger.warning(
                    "Message %s cannot be enqueued again (%s); next try in %s s.",
                    message.message_id,
                    type(error).__name__,
                    wait_s,
                )
                self._wait(wait_s)
            else:
                return


def is_final_attempt(exception: BaseException) -> bool:
    """Return whether the job that asks is dead-lettered when this attempt ends with the exception.

    For a job that has to leave other things behind when it fails for good than when it is tried again. Outside an
    attempt, or without `Retries`, nobody tries again: True. Threads that a job starts itself ask in a copy of its
    context.

    Example:
        >>> except TimeoutError as error:
        ...     mark("failed" if is_final_attempt(error) else "waiting")
        ...     raise
    """
    ends = _ends.get()
    return ends is None or ends(exception)


_ends: ContextVar[Callable[[BaseException], bool] | None] = ContextVar("pressroom_ends", default=None)


class _Park(NamedTuple):
    """How long a message waits, and what for, when the attempt is not its fault."""

    delay_ms: int
    cause: str
    key: str | None
    #: The cause with few values, for a label: what it waits for, without whose.
    label: str


def _park_of(exception: BaseException) -> _Park | None:
    if isinstance(exception, Parked):
        label = (exception.key or exception.cause).partition(":")[0]
        return _Park(exception.delay_ms, exception.cause, exception.key, label)
    if is_shutdown(exception):
        return _Park(0, "shutdown", None, "shutdown")
    asked_s = retry_after_s(exception)
    if asked_s is not None and asked_s > SHORT_RETRY_AFTER_S and is_retryable(exception):
        return _Park(int(asked_s * 1_000), category_of(exception), None, "retry_after")
    return None


def _retries(message: MessageProxy) -> int:
    return int(message.options.get("retries", 0))


def _remember(message: MessageProxy, exception: BaseException) -> None:
    message.options["error"] = {
        "class": class_name(exception),
        "category": category_of(exception),
        "fingerprint": fingerprint(exception),
    }


def _count_park(message: MessageProxy, park: _Park) -> None:
    count = message.options.get("parked", {}).get("count", 0) + 1
    message.options["parked"] = {"cause": park.cause, "count": count}
    emit_counter("messages_parked_total", {"actor": message.actor_name, "cause": park.label})
