"""How much a session fetches, and when it wakes the consumers that wait for that."""

import threading

from broker.leasing.prefetch import MAX_AHEAD, MAX_AHEAD_BYTES, MAX_ROOM_BYTES, PrefetchBudget
from broker.leasing.wakeup import Wakeup
from tests.middleware.eventually import PATIENCE_S, eventually


class Held:
    """How many messages are held."""

    count = 0

    def __call__(self) -> int:
        return self.count


def test_short_jobs_are_fetched_ahead_and_long_ones_are_not() -> None:
    """As many as the threads finish in 20 ms, and 128 at most."""
    short, long = (PrefetchBudget(4, ahead=True, held=Held(), mode="any") for _ in range(2))
    for _ in range(1_000):
        short.record_run(0.01)
        long.record_run(60_000)

    assert (short.capacity(), long.capacity()) == (4 + MAX_AHEAD, 4)


def test_no_more_is_fetched_than_bytes_may_wait() -> None:
    """Whatever number of messages that is; once enough of them have begun, more may come."""
    waiting = Held()
    budget = PrefetchBudget(4, ahead=True, held=Held(), mode="any", unstarted_bytes=waiting)
    assert budget.room_bytes() == MAX_ROOM_BYTES
    waiting.count = MAX_AHEAD_BYTES - 1
    assert (budget.capacity() > 0, budget.room_bytes()) == (True, 1)
    waiting.count = MAX_AHEAD_BYTES

    assert (budget.capacity(), budget.is_full_of_bytes) == (0, True)
    waiting.count = 0
    assert (budget.capacity() > 0, budget.is_full_of_bytes) == (True, False)


def test_nothing_is_fetched_while_the_worker_is_quiet() -> None:
    """Whatever its threads could take."""
    budget = PrefetchBudget(4, ahead=True, held=Held(), mode="any")
    budget.quiet = True

    assert budget.capacity() == 0


def test_a_consumer_that_waits_is_woken_when_the_end_of_a_message_makes_room() -> None:
    """And not before."""
    held = Held()
    held.count = 2
    budget = PrefetchBudget(2, ahead=False, held=held, mode="any")
    wakeup = Wakeup()
    found: list[bool] = []
    waiting = threading.Thread(
        target=lambda: found.append(budget.wait_for_capacity("default", wakeup, PATIENCE_S))
    )
    waiting.start()
    assert eventually(lambda: bool(budget._waiting_consumers))

    budget.release_capacity()
    assert waiting.is_alive()
    held.count = 1
    budget.release_capacity()
    waiting.join(PATIENCE_S)

    assert found == [True]


def test_a_probe_fetches_one_message_and_nothing_beside_it() -> None:
    """Its death has to be that message's doing."""
    held = Held()
    budget = PrefetchBudget(4, ahead=True, held=held, mode="probe")
    first = budget.capacity()
    held.count = 1

    assert (first, budget.capacity()) == (1, 0)
