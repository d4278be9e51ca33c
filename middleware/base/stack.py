"""The order guards stand in, and the check that they do."""

from collections.abc import Sequence
from itertools import pairwise

from dramatiq.middleware import Middleware

from .errors import MisplacedGuard

#: Outermost first. Each sees a message before, and its outcome after, everything below it.
ORDER = (
    "LogContext",  # every line of everything below carries the message's ids
    "Tracing",  # the span covers all that follows
    "Metrics",  # counts what really happened, skips and parks included
    "History",  # before Retries: it sees whether the message failed for good
    "DeadLetters",  # keeps whatever is rejected below
    "Contracts",  # nothing below ever sees a payload that does not fit
    "Cancellation",  # a cancelled message costs no claim, slot or trial
    "Pauses",  # what is paused costs none either, and asks no far side
    "CircuitBreakers",  # what cannot run now should not take a claim
    "Idempotency",  # a duplicate should not take a slot
    "OrgLimits",  # slots are the scarcest, so they are taken last
    "RegionConcurrency",
    "Cron",
    "Progress",
    "Deadlines",  # the clock starts when everything else has agreed
    "Draining",  # stops last: the others have told their jobs by then
    "ShutdownNotifications",
    "CurrentMessage",
    "AsyncIO",
    "Callbacks",
    "Pipelines",
    "GroupCallbacks",
    "Retries",  # its after-hook runs first: those above see whether the message failed for good
)


#: The package the guards lie in: `middleware` in the checkout, `pressroom` once installed.
_LIBRARY = __name__.rpartition(".base.")[0] + "."


def check_order(middleware: Sequence[Middleware]) -> None:
    """Refuse a stack whose guards stand in an order that cannot work.

    Dramatiq's own middleware and other people's may stand anywhere; only ours is looked at.

    Raises:
        MisplacedGuard: two of ours stand the wrong way round; the message names both and the right order.

    Example:
        >>> check_order(broker.middleware)
    """
    ours = [type(each).__name__ for each in middleware if _is_ours(each)]
    for outer, inner in pairwise(ours):
        if ORDER.index(outer) > ORDER.index(inner):
            right = ", ".join(name for name in ORDER if name in ours)
            raise MisplacedGuard(f"{inner} must stand before {outer}; the order that works here is: {right}")


def _is_ours(middleware: Middleware) -> bool:
    return f"{type(middleware).__module__}.".startswith(_LIBRARY) and type(middleware).__name__ in ORDER
