"""Writing in batches off somebody's path."""

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

from middleware.history.batch_writer import BatchWriter
from tests.middleware.recorded_metrics import Emitted, handling


class Refused(Exception):
    """The store takes this record never."""

    retryable = False


class Shelf:
    """Keeps what is written, unless it is told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures: list[Exception] = []
        self.refuses: set[int] = set()
        self.wrote = threading.Event()
        self.failed = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def write(self, records: Sequence[int]) -> None:
        assert self.open.wait(10)
        if self.failures:
            self.failed.set()
            raise self.failures.pop(0)
        if self.refuses & set(records):
            raise Refused
        self.batches.append(list(records))
        self.wrote.set()

    @property
    def records(self) -> list[int]:
        return [record for batch in self.batches for record in batch]


@pytest.fixture
def shelf() -> Shelf:
    """A store."""
    return Shelf()


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    """A handler that hears everything."""
    handler = Emitted()
    with handling(handler):
        yield handler


def writer_to(shelf: Shelf, *, every_s: float = 60, max_waiting: int = 100) -> "BatchWriter[int]":
    """A writer that writes when it is stopped, unless told to more often."""
    return BatchWriter(shelf.write, name="shelf", every_s=every_s, batch_size=3, max_waiting=max_waiting)


def test_records_are_written_in_order_some_at_a_time(shelf: Shelf) -> None:
    """A batch holds `batch_size` at most, and the end writes what is left."""
    writer = writer_to(shelf)
    writer.start()
    for n in range(7):
        writer.put(n)
    writer.stop(timeout_s=10)

    assert shelf.batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_records_are_written_without_waiting_for_the_end(shelf: Shelf) -> None:
    """Every `every_s` seconds what waits is written."""
    writer = writer_to(shelf, every_s=0.01)
    writer.start()
    writer.put(1)

    assert shelf.wrote.wait(10)
    writer.stop(timeout_s=10)


def test_a_batch_that_failed_is_tried_again(shelf: Shelf, emitted: Emitted) -> None:
    """While the store is away nothing is lost, and the log says so once."""
    shelf.failures = [OSError("away"), OSError("away")]
    writer = writer_to(shelf, every_s=0.01)
    writer.start()
    for n in range(4):
        writer.put(n)

    assert shelf.wrote.wait(10)
    writer.stop(timeout_s=10)
    assert shelf.records == [0, 1, 2, 3]
    assert emitted.of("shelf_writes_failed_total") == [1, 1]
    assert emitted.of("shelf_dropped_total") == []


def test_an_outage_is_logged_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    """However often the batch is tried, and again for the next outage."""
    writer = writer_to(shelf, every_s=0.001)
    with caplog.at_level(logging.WARNING):
        writer.start()
        for outage in range(2):
            shelf.wrote.clear()
            shelf.failures = [OSError("away"), OSError("away")]
            writer.put(outage)
            assert shelf.wrote.wait(10)
        writer.stop(timeout_s=10)

    assert [record.getMessage() for record in caplog.records] == ["The shelf cannot be written: OSError"] * 2


def test_a_record_that_is_refused_does_not_hold_up_the_others(shelf: Shelf, emitted: Emitted) -> None:
    """It is dropped and counted, and its neighbours are written."""
    shelf.refuses = {1}
    writer = writer_to(shelf)
    writer.start()
    for n in range(4):
        writer.put(n)
    writer.stop(timeout_s=10)

    assert shelf.records == [0, 2, 3]
    assert emitted.of("shelf_dropped_total", cause="refused") == [1]


def test_nobody_waits_for_a_store_that_hangs(shelf: Shelf, emitted: Emitted) -> None:
    """Records beyond the buffer are dropped at once and counted; those within are written in the end."""
    shelf.open.clear()
    writer = writer_to(shelf, every_s=0.001, max_waiting=5)
    writer.start()
    for n in range(20):
        writer.put(n)
    shelf.open.set()
    writer.stop(timeout_s=10)

    dropped = emitted.of("shelf_dropped_total", cause="full")
    assert len(shelf.records) + len(dropped) == 20
    assert shelf.records == list(range(5))


def test_what_cannot_be_written_by_the_end_is_counted(
    shelf: Shelf, emitted: Emitted, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that stops while the store is away says how much it takes with it."""
    shelf.failures = [OSError("away")]
    writer = writer_to(shelf)
    writer.start()
    for n in range(4):
        writer.put(n)
    with caplog.at_level(logging.ERROR):
        writer.stop(timeout_s=10)

    assert emitted.of("shelf_dropped_total", cause="shutdown") == [4]
    assert [record.getMessage() for record in caplog.records] == [
        "4 records of the shelf were not written before the end."
    ]


def test_the_end_does_not_wait_for_ever(shelf: Shelf, emitted: Emitted) -> None:
    """A store that hangs holds a worker up for `timeout_s` and no longer."""
    shelf.open.clear()
    writer = writer_to(shelf)
    writer.start()
    writer.put(1)

    writer.stop(timeout_s=0.01)
    (left_behind,) = [each for each in threading.enumerate() if each.name == "pressroom-shelf"]
    shelf.open.set()
    left_behind.join(10)

    assert emitted.of("shelf_dropped_total", cause="shutdown") == [1]


def test_records_of_many_threads_are_all_written(shelf: Shelf) -> None:
    """Putting needs no care about threads."""
    writer = writer_to(shelf, every_s=0.001, max_waiting=10_000)
    writer.start()

    def put(first: int) -> None:
        for n in range(first, first + 200):
            writer.put(n)

    threads = [threading.Thread(target=put, args=(n * 200,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.stop(timeout_s=10)

    assert sorted(shelf.records) == list(range(1_600))
