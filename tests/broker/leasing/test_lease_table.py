"""What a session holds, by itself: without a server."""

import threading
import time

from broker.leasing.finish_buffer import FinishBuffer
from broker.leasing.lease import DONE, LOST, Lease
from broker.leasing.lease_table import LeaseTable


def _leases(count: int) -> list[Lease]:
    return [
        Lease(f"m{number}", f"{number}|0|1.0|0|0|", "default", "acme", "resize:0") for number in range(count)
    ]


def test_a_lease_starts_once_and_not_after_it_was_withdrawn() -> None:
    """Whoever comes first has it."""
    first, second = _leases(2)
    table = LeaseTable()
    table.add([first, second])

    assert table.start(first, threading.current_thread(), time.monotonic())
    assert not table.withdraw(first)
    assert table.withdraw(second)
    assert not table.start(second, threading.current_thread(), time.monotonic())


def test_what_others_took_over_does_not_start_and_what_runs_stays() -> None:
    """The end of what runs is refused by the server, not here."""
    running, waiting = _leases(2)
    table = LeaseTable()
    table.add([running, waiting])
    table.start(running, threading.current_thread(), time.monotonic())

    assert table.forfeit() == 2

    assert (running.outcome, waiting.outcome, len(table)) == (None, LOST, 1)


def test_leases_that_nobody_would_report_are_found() -> None:
    """One whose thread died, and one that ended and did not reach the buffer."""
    running, orphaned, unreported, buffered = _leases(4)
    table = LeaseTable()
    table.add([running, orphaned, unreported, buffered])
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    table.start(running, threading.current_thread(), 1.0)
    table.start(orphaned, ended, 1.0)
    for lease in (unreported, buffered):
        lease.outcome, lease.done_s = DONE, 1.0

    assert table.find_lost({buffered}, before_s=2.0) == ([unreported], [orphaned])
    assert table.find_lost({buffered}, before_s=1.0) == ([], [])


def test_a_batch_that_was_not_sent_goes_first_again() -> None:
    """In its order, before what ended meanwhile."""
    leases = _leases(300)
    finished = FinishBuffer()
    for lease in leases[:299]:
        finished.append(lease)

    batch = finished.take()
    finished.append(leases[299])
    finished.put_back(batch)

    assert batch == leases[:136]
    assert [*finished.take(), *finished.take(), *finished.take()] == leases
    assert finished.overdue_in_s() is None
