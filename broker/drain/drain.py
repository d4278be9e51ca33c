"""Moves all there is of Dramatiq's own Redis broker, queue by queue, and reports how far it is."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .dramatiq_queues import DramatiqDrain, DramatiqQueue, MovedCounts

#: Seconds between two checks of what workers there still hold.
POLL_EVERY_S = 1.0
#: Seconds between two lines about how far it is.
PRINT_EVERY_S = 1.0


@dataclass(kw_only=True)
class Drained:
    """What came over, and what is left, by queue."""

    moved: dict[str, MovedCounts] = field(default_factory=dict)
    left: dict[str, DramatiqQueue] = field(default_factory=dict)

    def is_over(self, *, dead: bool) -> bool:
        """Check that nothing is left there that is to be moved.

        Parameters:
            dead: dead letters are to be moved too.
        """
        return not any(
            each.ready or each.delayed or each.held or (dead and each.dead) for each in self.left.values()
        )

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            name: {"moved": asdict(moved), "left": left and asdict(left)}
            for name, moved, left in self._rows()
        }

    def lines(self) -> list[str]:
        """For people, a line a queue."""
        return [_row(*each) for each in self._rows()]

    def _rows(self) -> Iterator[tuple[str, MovedCounts, DramatiqQueue | None]]:
        for name in sorted({*self.moved, *self.left}):
            yield name, self.moved.get(name, MovedCounts()), self.left.get(name)


def drain_all(
    drain: DramatiqDrain,
    *,
    queues: Sequence[str] = (),
    dead: bool = False,
    follow: bool = False,
    silent_s: float | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[Drained]:
    """Move everything there is, once, or until nothing is left; it may be left off after any step.

    Parameters:
        drain: moves it.
        queues: which. Default: all that have messages.
        dead: dead letters too. Default False.
        follow: go on until workers there hold nothing more. Default False.
        silent_s: take what workers hold that have been silent for so many seconds. Default None: leave it to them.
        wait: waits some seconds between two looks. Default `time.sleep`.

    Returns:
        After each step what has come over so far; after each round, and at the end, also what is left.

    Raises:
        BrokerError: the server does not answer, or refuses; what was not moved is where it was.

    Example:
        >>> *_, drained = drain_all(DramatiqDrain(broker), follow=True)
        >>> drained.is_over(dead=False)
        True
    """
    drained = Drained()
    while True:
        names = list(queues) or drain.queues()
        for name in names:
            if silent_s is not None:
                drain.reclaim(name, silent_s=silent_s)
            for moved in drain.drain(name, dead=dead):
                drained.moved[name] = drained.moved.get(name, MovedCounts()) + moved
                yield drained
        drained.left = {name: drain.inspect(name) for name in sorted({*names, *drained.moved})}
        yield drained
        if not follow or drained.is_over(dead=dead):
            return
        wait(POLL_EVERY_S)


def inspect_all(drain: DramatiqDrain, queues: Sequence[str] = ()) -> Drained:
    """Count what is there; nothing is moved.

    Parameters:
        drain: looks.
        queues: which. Default: all that have messages.
    """
    return Drained(left={name: drain.inspect(name) for name in list(queues) or drain.queues()})


class ProgressPrinter:
    """Reports once in a while how far a drain is.

    Parameters:
        say: takes a line.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.
    """

    def __init__(self, say: Callable[[str], None], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock_s = clock_s
        self._next_s = clock_s() + PRINT_EVERY_S
        self._said = ""

    def __call__(self, drained: Drained) -> None:
        if self._clock_s() < self._next_s:
            return
        self._next_s = self._clock_s() + PRINT_EVERY_S
        moved = sum(each.total for each in drained.moved.values())
        held = sum(each.held for each in drained.left.values())
        row = f"{moved:,} moved" + (f", {held:,} with workers there" if held else "")
        if row != self._said:
            self._said = row
            self._say(row)


def _row(name: str, moved: MovedCounts, left: DramatiqQueue | None) -> str:
    parts = [f"{value:,} {word}" for word, value in vars(moved).items() if value]
    text = f"{name}: moved {', '.join(parts)}" if parts else f"{name}: nothing moved"
    if left is None:
        return text
    rest = [f"{value:,} {word}" for word, value in vars(left).items() if word != "name" and value]
    return f"{text}; left there: {', '.join(rest) or 'nothing'}"
