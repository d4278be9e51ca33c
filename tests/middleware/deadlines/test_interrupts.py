"""Who is interrupted by the deadline guard and when, and who cannot be, on the stub broker and on a real server."""

import asyncio
import logging
import threading
from contextlib import suppress
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, ShutdownNotifications, TimeLimit
from dramatiq.middleware.shutdown import Shutdown

from middleware.base.attempts import Attempt
from middleware.base.interrupts import DeadlineExceeded
from middleware.base.observer import Observer
from middleware.deadlines.guard import Deadlines, remaining
from tests.middleware.brokers import stored, work
from tests.middleware.deadlines.deadline_broker import Ends, Rig, busy
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard as it comes, but for ending the process."""
    return Rig(bare_broker)


def test_an_async_job_is_interrupted_and_sees_its_deadline(rig: Rig) -> None:
    """Though it runs on another thread, and waits there."""
    seen: list[object] = []

    async def fn() -> None:
        seen.append(remaining())
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            seen.append("cleaned up")
            raise

    actor = dramatiq.actor(
        broker=rig.broker, queue_name=rig.queue, actor_name="job", time_limit=50, max_retries=0
    )(fn)
    actor.send()
    rig.work()

    assert isinstance(seen[0], float)
    assert seen[1:] == ["cleaned up"]
    assert rig.ends.seen == [("failed", "timeout")]


def test_a_stopping_worker_interrupts_who_asked_for_it_and_charges_nothing(rig: Rig) -> None:
    """The message comes back with its retries as they were; who did not ask finishes."""
    started, go_on = threading.Semaphore(0), threading.Event()
    ran: list[str] = []

    def wait(name: str) -> None:
        started.release()
        while not go_on.wait(0.001):
            pass
        ran.append(name)

    rig.declare(wait, notify_shutdown=True)
    job = rig.broker.get_actor("job")
    job.send("notified")
    job.send_with_options(args=("left alone",), notify_shutdown=False)
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=2)
    worker.start()
    for _ in range(2):
        assert started.acquire(timeout=10)

    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert eventually(lambda: bool(rig.ends.seen))
    go_on.set()
    stopping.join()

    assert ran == ["left alone"]
    assert rig.ends.seen == [("parked", "unknown"), ("succeeded", None)]
    if not isinstance(rig.broker, StubBroker):  # the stub broker forgets what a stopped worker had fetched
        (back,) = stored(rig.broker, rig.queue) or stored(rig.broker, f"{rig.queue}.DQ")
        assert back.options.get("retries") is None
        rig.work()
        assert ran == ["left alone", "notified"]


def test_a_job_that_begins_while_its_worker_stops_is_reported_too(rig: Rig) -> None:
    """The notice is not only for those that ran when it was given."""
    ran: list[int] = []
    rig.declare(lambda: ran.append(1), notify_shutdown=True)
    rig.broker.get_actor("job").send()

    class Last(Observer):
        """Lets the worker begin to stop just before the job does."""

        def began(
            self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy, attempt: Attempt
        ) -> None:
            rig.guard.before_worker_shutdown(broker, worker)

    rig.broker.middleware.insert(0, Last())
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=1)
    worker.start()
    assert eventually(lambda: bool(rig.ends.seen))
    worker.stop()

    assert ran == []
    assert rig.ends.seen[0][0] == "parked"


def test_the_interrupt_is_no_ordinary_exception() -> None:
    """`except Exception` in a job lets it through."""
    assert not issubclass(DeadlineExceeded, Exception)
    assert not issubclass(Shutdown, Exception)


@pytest.mark.parametrize("stubborn", ["swallows", "waits in C code"])
def test_a_stuck_job_is_logged_with_its_stack_and_no_values(
    caplog: pytest.LogCaptureFixture, stubborn: str
) -> None:
    """One that catches the interrupt, and one that it does not reach; once each."""
    caplog.set_level(logging.ERROR, logger="middleware")
    rig = Rig(StubBroker(middleware=[]), grace_ms=30)
    released = threading.Event()

    def swallow(secret: str) -> None:
        while not released.is_set():
            with suppress(DeadlineExceeded):
                busy_until(released)

    def wait(secret: str) -> None:
        released.wait()

    rig.declare(swallow if stubborn == "swallows" else wait, time_limit=20, max_retries=0)
    rig.broker.get_actor("job").send("hunter2")

    class Logged(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            released.set()

    handler = Logged(level=logging.ERROR)
    logging.getLogger("middleware").addHandler(handler)
    try:
        with handling(emitted := Emitted()):
            rig.work()
    finally:
        logging.getLogger("middleware").removeHandler(handler)

    (record,) = [each for each in caplog.records if each.name == "middleware.deadlines.stuck_process"]
    assert "is stuck" in record.getMessage()
    assert f"in {'swallow' if stubborn == 'swallows' else 'wait'}\n" in record.getMessage()
    assert "hunter2" not in record.getMessage()
    assert emitted.of("jobs_stuck_total", actor="job", queue=rig.queue) == [1]


def busy_until(event: threading.Event) -> None:
    """Run Python until the event."""
    while not event.is_set():
        pass


def test_it_takes_the_place_of_dramatiqs_own(bare_broker: dramatiq.Broker) -> None:
    """Added alone to a broker as it comes, whose own limits leave when the worker boots; retries stay stock."""
    replaced = (TimeLimit, AgeLimit, ShutdownNotifications)
    ran: list[str] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, time_limit=20, max_retries=1, min_backoff=1)
    def early(name: str) -> None:
        ran.append(name)
        if name == "slow":
            busy()

    ends = Ends()
    bare_broker.add_middleware(ends)
    bare_broker.add_middleware(Deadlines(exit_process=None, frozen_after_ms=None))
    assert sum(isinstance(each, replaced) for each in bare_broker.middleware) == 3
    early.send("slow")
    early.send_with_options(args=("expired",), expires_at=1)

    work(bare_broker, queue)

    assert not any(isinstance(each, replaced) for each in bare_broker.middleware)
    assert ran == ["slow", "slow"]
    assert sorted(ends.seen) == [("expired", "timeout"), ("failed", "timeout"), ("retried", "timeout")]


def test_a_job_costs_a_second_thread_only_while_there_are_deadlines() -> None:
    """The watching thread starts with the first and stops with the worker."""

    def watching() -> int:
        return sum(each.name == "pressroom-watchdog" for each in threading.enumerate())

    before = watching()
    rig = Rig(StubBroker(middleware=[]))
    seen: list[int] = []
    rig.declare(lambda: seen.append(watching()))
    rig.broker.get_actor("job").send()
    rig.broker.get_actor("job").send()
    assert watching() == before

    rig.work()

    assert seen == [before + 1] * 2
    assert watching() == before
