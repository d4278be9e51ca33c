"""Several things at once, in threads that know which job they work for."""

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

#: How long the caller waits at a time. Whoever interrupts a thread reaches it only between two waits.
LOOK_S = 0.1
#: How long, when something ends the whole, what is in hand may take before it is left to itself.
FAREWELL_S = 5.0

A = TypeVar("A")
B = TypeVar("B")


def in_threads(
    work: Callable[[A], B], items: Sequence[A], *, at_once: int, between: Callable[[int], None]
) -> list[B]:
    """What `work` makes of each item, in their order; `domain.feedback_ingest.InParallel`.

    Each call runs in a copy of the caller's context, so that deadlines, cancellation and logs know the job.

    Parameters:
        work: called in other threads.
        items: what to call it with.
        at_once: how many threads at most.
        between: called in this thread, several times a second, with the number of items that are done.

    Raises:
        Exception: the first that `work` or `between` raised. Items not begun by then are left alone; those in flight
            are waited for, five seconds at most.

    Example:
        >>> in_threads(str.upper, ["a", "b"], at_once=2, between=print)
        ['A', 'B']
    """
    if not items:
        return []
    pool = ThreadPoolExecutor(max_workers=min(at_once, len(items)))
    futures: list[Future[B]] = []
    try:
        # A copy for each: no two threads can be in one context.
        futures += [pool.submit(contextvars.copy_context().run, work, item) for item in items]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            between(len(items) - len(pending))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # Not those that never began: nobody tells whoever waits for them.
        wait([future for future in futures if not future.cancelled()], timeout=FAREWELL_S)
