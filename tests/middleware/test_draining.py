"""Draining, in one process: what begins, what goes back and what is interrupted when a worker stops."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

from middleware import Parked, Retries
from middleware.draining import Draining
from tests.middleware.brokers import replace_stack
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling


@contextmanager
def working(broker: dramatiq.Broker, *, threads: int = 1) -> Iterator[dramatiq.Worker]:
    """A worker that the test stops itself."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def test_nothing_begins_once_it_is_asked_to_stop() -> None:
    """A message that a thread has taken in that very moment is parked, and nothing of it is charged."""
    broker = StubBroker(middleware=[])
    guard = Draining()
    replace_stack(broker, guard, Retries(max_retries=0))

    @dramatiq.actor(broker=broker)
    def job() -> None: ...

    with working(broker) as worker:
        guard.begin()

        with pytest.raises(Parked, match="stopping"):
            guard.admit(broker, MessageProxy(job.message()))
        assert guard.wait(10)
        assert not any(thread.is_alive() for thread in worker.workers)
    assert guard.draining
    assert guard.clean


def test_running_jobs_may_end_within_their_time() -> None:
    """The stop waits for them, and interrupts none."""
    broker = StubBroker(middleware=[])
    guard = Draining(drain_s=60)
    replace_stack(broker, guard, Retries(max_retries=0))
    running, go_on, ended = threading.Event(), threading.Event(), []

    @dramatiq.actor(broker=broker)
    def job() -> None:
        running.set()
        go_on.wait()
        ended.append(1)

    with working(broker):
        job.send()
        assert running.wait(10)
        guard.begin()
        assert not guard.wait(0.1)
        go_on.set()
        assert guard.wait(10)

    assert ended == [1]
    assert guard.clean


def test_what_runs_on_is_interrupted_in_its_function_and_keeps_its_attempts() -> None:
    """A job that has no retries comes back after a stop all the same, and is counted."""
    broker = StubBroker(middleware=[])
    guard = Draining(drain_s=0, unwind_s=10)
    enqueued: list[dramatiq.Message[Any]] = []

    class Watch(Middleware):
        def after_enqueue(
            self, broker: dramatiq.Broker, message: dramatiq.Message[Any], delay: int | None
        ) -> None:
            enqueued.append(message)

    replace_stack(broker, Watch(), guard, Retries(max_retries=0))
    running, cleaned = threading.Event(), []

    @dramatiq.actor(broker=broker)
    def job() -> None:
        running.set()
        try:
            while True:
                pass
        finally:
            cleaned.append(1)

    with handling(emitted := Emitted()), working(broker):
        job.send()
        assert running.wait(10)

    assert cleaned == [1]
    assert guard.clean
    assert emitted.of("drain_interrupted_total") == [1]
    sent, back = enqueued[:2]
    assert back.message_id == sent.message_id
    assert back.options.get("retries", 0) == 0


def test_what_cannot_be_interrupted_is_given_up() -> None:
    """The stop ends in its time, and does not call itself clean."""
    broker = StubBroker(middleware=[])
    guard = Draining(drain_s=0, unwind_s=0.05)
    replace_stack(broker, guard, Retries(max_retries=0))
    running, never = threading.Event(), threading.Event()

    @dramatiq.actor(broker=broker)
    def job() -> None:
        running.set()
        never.wait()

    with handling(emitted := Emitted()), working(broker) as worker:
        job.send()
        assert running.wait(10)
        worker.stop()
        assert worker.workers == []

    assert not guard.clean
    assert emitted.of("drain_abandoned_total") == [1]


class Returning(StubBroker):
    """Takes messages back, once it is there again."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.errors: list[Exception] = [ConnectionError("hunter2")]
        self.returned: list[str] = []

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 100) -> dramatiq.Consumer:
        consumer = super().consume(queue_name, prefetch, timeout)
        consumer.requeue = self._take_back  # type: ignore[method-assign]
        return consumer

    def _take_back(self, messages: Iterable[MessageProxy]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.returned += [message.message_id for message in messages]


def test_what_cannot_be_handed_back_at_once_is_at_the_next_look(caplog: pytest.LogCaptureFixture) -> None:
    """A broker that is away for a moment keeps no message from the other workers, and begins none here."""
    broker = Returning()
    guard = Draining(drain_s=60)
    replace_stack(broker, guard, Retries(max_retries=0))
    running, go_on, ran = threading.Event(), threading.Event(), []

    @dramatiq.actor(broker=broker)
    def job(number: int) -> None:
        running.set()
        go_on.wait()
        ran.append(number)

    with working(broker) as worker:
        job.send(1)
        assert running.wait(10)
        waiting = job.send(2)
        assert eventually(lambda: worker.work_queue.qsize() == 1)
        guard.begin()
        assert eventually(lambda: broker.returned == [waiting.message_id])
        go_on.set()
        assert guard.wait(10)

    assert ran == [1]
    assert "cannot be handed back (ConnectionError)" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_worker_that_boots_after_another_stopped_works() -> None:
    """Each worker has a stop of its own."""
    broker = StubBroker(middleware=[])
    guard = Draining()
    replace_stack(broker, guard, Retries(max_retries=0))
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def job() -> None:
        ran.append(1)

    for expected in (1, 2):
        with working(broker):
            assert not guard.draining
            job.send()
            assert eventually(lambda expected=expected: len(ran) == expected)  # type: ignore[misc]


@pytest.mark.parametrize("options", [{"drain_s": -1}, {"unwind_s": -1}], ids=str)
def test_nonsense_is_refused_when_the_guard_is_made(options: dict[str, float]) -> None:
    """With the parameter's name."""
    with pytest.raises(ValueError, match="drain_s and unwind_s"):
        Draining(**options)  # type: ignore[arg-type]
