"""The thread that writes progress."""

import logging

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from middleware import Retries
from middleware.progress.guard import Progress, progress
from middleware.progress.latest_writer import MAX_WAITING, ProgressWriter
from middleware.progress.redis import RedisProgressStore
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling


def test_what_waits_is_bounded_and_the_oldest_gives_way() -> None:
    """An outage of a day does not fill the memory, and what was lost is counted."""
    written: list[int] = []
    writer = ProgressWriter[int](written.extend, interval_s=3_600)
    try:
        writer.put("first", -1)
        assert eventually(lambda: written == [-1])
        with handling(emitted := Emitted()):
            for number in range(MAX_WAITING + 3):
                writer.put(f"k{number}", number)
    finally:
        writer.close()

    assert sorted(written[1:]) == list(range(3, MAX_WAITING + 3))
    assert emitted.of("progress_lines_dropped_total") == [1, 1, 1]


def test_a_value_that_came_while_an_older_one_failed_is_not_undone() -> None:
    """What could not be written goes back behind what is newer."""
    attempts: list[list[str]] = []

    def write(values: list[str]) -> None:
        attempts.append(values)
        if len(attempts) == 1:
            writer.put("key", "new")
            raise ConnectionError

    writer = ProgressWriter[str](write, interval_s=0.01)
    writer.put("key", "old")
    assert eventually(lambda: len(attempts) == 2)
    writer.close()

    assert attempts == [["old"], ["new"]]


def test_what_is_put_during_a_write_waits_for_the_next() -> None:
    """A job that talks faster than the store writes does not keep it writing."""
    written: list[list[int]] = []

    def write(values: list[int]) -> None:
        written.append(values)
        writer.put("key", values[0] + 1)

    writer = ProgressWriter[int](write, interval_s=3_600)
    writer.put("key", 0)
    assert eventually(lambda: bool(written))

    writer.flush()

    assert written == [[0], [1]]
    writer.close()


def test_a_writer_that_was_closed_starts_again() -> None:
    """Closing twice does no harm either."""
    written: list[str] = []
    writer = ProgressWriter[str](written.extend)
    writer.close()
    writer.put("key", "one")
    writer.close()
    writer.close()
    writer.put("key", "two")
    writer.close()

    assert written == ["one", "two"]


def test_with_the_store_gone_jobs_run_and_the_last_of_it_is_written_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No job waits or fails, the outage is logged once, and what was last said is there when it is over."""
    caplog.set_level(logging.INFO, logger="middleware.progress.latest_writer")
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisProgressStore(client)
        broker = StubBroker(middleware=[])
        guard = Progress(store, interval_s=0.01)
        replace_stack(broker, guard, Retries())
        ran: list[int] = []

        @dramatiq.actor(broker=broker)
        def job() -> None:
            progress(50, "half")
            ran.append(1)

        server.stop()
        messages = [job.send() for _ in range(20)]
        work(broker, "default")
        assert len(ran) == 20
        assert stored(broker, "default") == []

        server.start()
        messages.append(job.send())
        work(broker, "default")
        states = [
            latest and (latest.state, latest.note) for m in messages if (latest := store.read(m.message_id))
        ]
        assert states == [("done", "half")] * 21

    said = [each.getMessage() for each in caplog.records if each.name == "middleware.progress.latest_writer"]
    assert said == [
        "Progress cannot be written (StoreUnavailable); the last of it is kept.",
        "Progress is written again.",
    ]
