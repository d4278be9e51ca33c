"""The line inside a worker: fair by org, in order within one."""

from collections import Counter
from queue import Empty
from threading import Thread

import pytest
from dramatiq import Message
from dramatiq.worker import _WorkQueueItem

from broker.leasing.dramatiq_worker import FairWorkQueue
from broker.leasing.lease import Lease, LeasedMessage
from tests.middleware.eventually import PATIENCE_S


def test_what_comes_later_of_another_org_stands_before_the_rest_of_a_flood() -> None:
    """Behind at most one of each org that waits."""
    row = FairWorkQueue()
    for n in range(20):
        row.put(_item("flood", n))
    assert _next(row) == ("flood", 0)
    row.put(_item("quiet", 0))

    assert ("quiet", 0) in [_next(row) for _ in range(2)]


def test_an_orgs_own_keep_their_order() -> None:
    """Whatever others do."""
    row = FairWorkQueue()
    for n in range(10):
        for org in ("a", "b"):
            row.put(_item(org, n, charged_ms=1.0 + n % 3))
    seen = [_next(row) for _ in range(20)]

    for org in ("a", "b"):
        assert [n for whose, n in seen if whose == org] == list(range(10))


def test_shares_are_of_time_and_by_weight() -> None:
    """An org that is charged three times as much for a job runs a third as many."""
    row = FairWorkQueue()
    for n in range(60):
        row.put(_item("dear", n, charged_ms=3.0))
        row.put(_item("cheap", n, charged_ms=1.0))

    seen = Counter(_next(row)[0] for _ in range(40))

    assert seen["dear"] in range(9, 12)


def test_an_empty_row_remembers_nobody() -> None:
    """What an org had before does not put it behind others later."""
    row = FairWorkQueue()
    for n in range(50):
        row.put(_item("busy", n))
    for _ in range(50):
        _next(row)
    row.put(_item("busy", 50))
    row.put(_item("other", 0))

    assert _next(row) == ("busy", 50)
    assert _next(row) == ("other", 0)
    with pytest.raises(Empty):
        row.get_nowait()


def test_who_waits_gets_what_is_put_and_nobody_waits_for_longer_than_asked() -> None:
    """As of the standard library's queue, which also knows when all of it is done."""
    row, seen = FairWorkQueue(), []
    waiting = Thread(target=lambda: seen.append(row.get(timeout=PATIENCE_S).message.args[0]))
    waiting.start()
    row.put(_item("late", 7))
    waiting.join(PATIENCE_S)
    with pytest.raises(Empty):
        row.get(timeout=0.001)

    assert seen == [7]
    assert row.unfinished_tasks == 1
    row.task_done()
    row.join()


def _item(org: str, n: int, *, charged_ms: float = 10.0) -> _WorkQueueItem:
    lease = Lease(f"{org}{n}", f"{n}|0|{charged_ms:.4f}|0|0|", "default", org, "act:0")
    return _WorkQueueItem(0, LeasedMessage(Message("default", "act", (n,), {}, {"org": org}), lease))


def _next(row: FairWorkQueue) -> tuple[str, int]:
    message = row.get_nowait().message
    return message.options["org"], message.args[0]
