"""Goes through the lanes of a queue, a few in each call of a script, in as many calls as it takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import redis

from ..connection import ask
from ..scripts import Argument
from .lookup import stored_org

#: Orgs that one call names.
BATCH_SIZE: Final = 200

T = TypeVar("T")


class Step(NamedTuple):
    """Where the next call begins: a place in the lanes of its first org, and a rank where that stands for many."""

    place: int
    rank: int
    orgs: Sequence[Argument]

    def arguments(self) -> tuple[Argument, ...]:
        """As the scripts take it (parts/lane_walk.lua)."""
        return self.place, self.rank, *self.orgs


def walk_lanes(
    orgs: Iterable[Sequence[Argument]], call: Callable[[Step], tuple[T, int, int, int]]
) -> Iterator[T]:
    """Call a script until it is through with all orgs. Yields what each call found.

    Parameters:
        orgs: in batches, as they are stored.
        call: returns what it found, how many orgs it is through with, and place and rank in the next one.
    """
    for batch in orgs:
        step = Step(0, 0, batch)
        while step.orgs:
            found, through, place, rank = call(step)
            yield found
            step = Step(place, rank, step.orgs[through:])


def orgs_of(
    client: "redis.Redis", base: str, queue: str, org: str | None, *, ready_first: bool
) -> Iterator[Sequence[Argument]]:
    """Orgs that may have messages in a queue, in batches, each once.

    Parameters:
        client: of the server.
        base: the shard's base key.
        queue: the queue's name.
        org: only this one. Default: all.
        ready_first: those that may run first, in the order of their turns.

    Raises:
        ConnectionClosed: the server does not answer.
    """
    if org is not None:
        yield [stored_org(org)]
        return
    seen: set[bytes] = set()
    start = 0
    while ready_first:
        ready = ask(client, "ZRANGE", f"{base}:qr:{queue}", start, start + BATCH_SIZE - 1)
        start += BATCH_SIZE
        new = [each for each in ready if each not in seen]
        seen.update(new)
        yield new
        if len(ready) < BATCH_SIZE:
            break
    others: list[bytes] = []
    cursor: int | None = None
    while cursor != 0:
        cursor, found = ask(client, "HSCAN", f"{base}:no", cursor or 0, "COUNT", BATCH_SIZE)
        others += [each for each in found if each not in seen]
        seen.update(found)
    # All are known before any is removed: a hash that shrinks gives very much at once.
    for start in range(0, len(others), BATCH_SIZE):
        yield others[start : start + BATCH_SIZE]
