"""The order that middleware stands in: each says its position, this sorts by it and refuses what contradicts it."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Final

import dramatiq.middleware
from dramatiq.middleware import Middleware

from .errors import MisplacedGuard


class Position(IntEnum):
    """Where in the stack a guard stands, outermost first, and why.

    Each sees a message before, and its outcome after, everything below it. A new guard takes the position of those
    whose reason it shares.

    Example:
      >>> class Curfew(Guard):
      ...     position = Position.PAUSE
    """

    reason: str

    def __new__(cls, reason: str) -> "Position":
        made = int.__new__(cls, len(cls.__members__))
        made._value_ = len(cls.__members__)
        made.reason = reason
        return made

    LOG = "every line of everything below carries the message's ids"
    TRACE = "the span covers all that follows"
    COUNT = "counts what really happened, skips and parks included"
    RECORD = "remembers what those below made of an attempt"
    KEEP = "keeps whatever is rejected below"
    VALIDATE = "nothing below ever sees a payload that does not fit"
    CANCEL = "a cancelled message costs no claim, slot or trial"
    PAUSE = "what is paused costs none either, and asks no remote service"
    DEPEND = "what cannot run now should not take a claim"
    DEDUPLICATE = "a duplicate should not take a slot"
    LIMIT = "slots are the scarcest, so they are taken last"
    THROTTLE = "a place in the process is held for what nobody else stops"
    SCHEDULE = "a tick is granted to a message that may run"
    REPORT = "says `running` when everything above has agreed"
    TIME = "the clock starts when everything else has agreed"
    DRAIN = "stops last: the others have notified their jobs by then"
    RUN = "is about the function that runs, and decides nothing"
    FOLLOW = "sends what follows once Retries has said whether the message failed for good"
    RETRY = "its after-hook runs first: those above see whether the message failed for good"


#: Where Dramatiq's own stand. Those that are not here stay where they were added.
DRAMATIQ_POSITIONS: Final[dict[type[Middleware], Position]] = {
    dramatiq.middleware.AgeLimit: Position.TIME,
    dramatiq.middleware.TimeLimit: Position.TIME,
    dramatiq.middleware.ShutdownNotifications: Position.RUN,
    dramatiq.middleware.CurrentMessage: Position.RUN,
    dramatiq.middleware.AsyncIO: Position.RUN,
    dramatiq.middleware.Callbacks: Position.FOLLOW,
    dramatiq.middleware.Pipelines: Position.FOLLOW,
    dramatiq.middleware.GroupCallbacks: Position.FOLLOW,
    dramatiq.middleware.Retries: Position.RETRY,
}


def in_order(middleware: Iterable[Middleware]) -> list[Middleware]:
    """Sort a stack by position; what stands at one position keeps its order.

    Middleware without a position stays directly behind the one it followed, or first where it followed none.

    Example:
        >>> in_order([Retries(), Contracts()])
        [<Contracts>, <Retries>]
    """
    groups: list[tuple[int, list[Middleware]]] = [(-1, [])]
    for each in middleware:
        position = position_of(each)
        if position is None:
            groups[-1][1].append(each)
        else:
            groups.append((position, [each]))
    return [each for _, group in sorted(groups, key=lambda group: group[0]) for each in group]


def check_order(middleware: Sequence[Middleware]) -> None:
    """Refuse a stack whose guards stand in an order that cannot work.

    Dramatiq's own middleware and other people's may stand anywhere.

    Raises:
        MisplacedGuard: two guards stand the wrong way round; the message names both and the right order.

    Example:
        >>> check_order(broker.middleware)
    """
    guards = [each for each in middleware if isinstance(getattr(each, "position", None), Position)]
    for outer, inner in pairwise(guards):
        if (position_of(outer) or 0) > (position_of(inner) or 0):
            right = ", ".join(type(each).__name__ for each in in_order(guards))
            raise MisplacedGuard(
                f"{type(inner).__name__} must stand before {type(outer).__name__}; "
                f"the order that works here is: {right}"
            )


def position_of(middleware: Middleware) -> Position | None:
    """Return where it says that it stands, or, of Dramatiq's own, where that has to; None for anybody else's."""
    own = getattr(middleware, "position", None)
    return own if isinstance(own, Position) else DRAMATIQ_POSITIONS.get(type(middleware))
