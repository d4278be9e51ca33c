"""The progress guard, on Dramatiq's stub broker and on a real server."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO

from middleware import Guard, Parked, Retries, Skipped
from middleware.base.interrupts import Cancelled
from middleware.base.poller import Poller
from middleware.cancellation.guard import Cancellation
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cancellation.requests import CancellationClient
from middleware.deadlines.guard import Deadlines
from middleware.progress.guard import JobProgress, Progress, ProgressReader, progress
from middleware.progress.memory import MemoryProgressStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.eventually import eventually


class Written(MemoryProgressStore):
    """Remembers what was written, when, and by whom."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[JobProgress]] = []
        self.at_s: list[float] = []
        self.by: set[threading.Thread] = set()

    def write(self, lines: list[JobProgress]) -> None:
        self.batches.append(lines)
        self.at_s.append(time.monotonic())
        self.by.add(threading.current_thread())
        super().write(lines)


class Door(Guard):
    """Does to each attempt what the test has prepared."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Exception] = []

    def admit(self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy) -> None:
        if self.answers:
            raise self.answers.pop(0)


class Rig:
    """A broker with the guard, a guard that parks and skips before it, and retries."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self.broker = broker
        self.queue = f"q{uuid4().hex}"
        self.store = Written()
        self.door = Door()
        self.cancellations = MemoryCancellationStore()
        replace_stack(
            broker,
            Cancellation(self.cancellations, flags=Poller(interval_s=3_600)),
            self.door,
            Progress(self.store),
            Deadlines(exit_process=None, frozen_after_ms=None),
            AsyncIO(),
            Retries(max_retries=1, min_backoff=1, max_backoff=1),
        )

    def send(self, body: Callable[..., object], **options: Any) -> str:
        """Declare the actor `job` and send it a message, whose id is returned."""

        def fn(*args: object) -> None:
            body(*args)

        dramatiq.actor(broker=self.broker, queue_name=self.queue, actor_name="job")(fn)
        return self.broker.get_actor("job").send_with_options(**options).message_id

    def work(self) -> None:
        """Until the queue is empty and the worker has stopped."""
        work(self.broker, self.queue)

    def read(self, message_id: str) -> JobProgress:
        """The line of a message that has one."""
        latest = ProgressReader(self.store).read(message_id)
        assert latest is not None
        return latest


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard on each broker."""
    return Rig(bare_broker)


def nothing() -> None:
    """A job without news of its own."""


def fail() -> None:
    """A job that fails."""
    raise ConnectionError("hunter2")


def test_a_job_without_a_word_of_its_own_is_done(rig: Rig) -> None:
    """Who, what, where and how far is known all the same."""
    message_id = rig.send(nothing, org="o")

    rig.work()

    latest = rig.read(message_id)
    assert (latest.org, latest.actor, latest.queue) == ("o", "job", rig.queue)
    assert (latest.state, latest.percent, latest.note, latest.attempts) == ("done", 100, "", 1)
    assert abs(latest.updated_at_ms - time.time() * 1_000) < 60_000


def test_a_running_job_is_seen_with_what_it_said_last(rig: Rig) -> None:
    """From anywhere, while it runs."""
    said, seen = threading.Event(), threading.Event()

    def talk() -> None:
        progress(39)
        progress(40, "images")
        said.set()
        seen.wait(10)

    message_id = rig.send(talk)
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=1)
    worker.start()
    assert said.wait(10)
    seen_lines: list[JobProgress | None] = []

    def reads_40() -> bool:
        seen_lines.append(ProgressReader(rig.store).read(message_id))
        return seen_lines[-1] is not None and seen_lines[-1].percent == 40

    assert eventually(reads_40)
    seen.set()
    rig.broker.join(rig.queue, timeout=10_000)
    worker.stop()

    latest = seen_lines[-1]
    assert latest is not None
    assert (latest.state, latest.note) == ("running", "images")


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (nothing, {}, ("done", 100, 1, None)),
        (fail, {}, ("failed", 0, 2, "network")),
        (fail, {"max_retries": 0}, ("failed", 0, 1, "network")),
        (nothing, {"expires_at": 1}, ("failed", 0, 1, "timeout")),
    ],
)
def test_every_end_leaves_its_state(
    rig: Rig, body: Callable[[], None], options: dict[str, Any], expected: tuple[object, ...]
) -> None:
    """With the attempts that were charged, and the kind of fault but never its text."""
    message_id = rig.send(body, **options)

    rig.work()

    latest = rig.read(message_id)
    assert (latest.state, latest.percent, latest.attempts, latest.category) == expected
    assert "hunter2" not in repr(latest)


def test_a_failed_job_shows_how_far_it_came(rig: Rig) -> None:
    """Its last note says what it was doing."""

    def half() -> None:
        progress(50, "images")
        raise ValueError

    message_id = rig.send(half, max_retries=0)
    rig.work()

    latest = rig.read(message_id)
    assert (latest.state, latest.percent, latest.note) == ("failed", 50, "images")


def test_a_message_that_waits_to_come_back_is_parked(rig: Rig) -> None:
    """Whether a guard parked it or it waits for its next attempt, charged or not."""
    states: list[tuple[str, int, str | None]] = []

    def look() -> None:
        latest = rig.read(message_id)
        states.append((latest.state, latest.attempts, latest.category))

    class Looking(Guard):
        """Looks before anything else does, once what there is has been written."""

        def admit(self, broker: dramatiq.Broker, message: dramatiq.broker.MessageProxy) -> None:
            guard = next(each for each in broker.middleware if isinstance(each, Progress))
            guard.after_worker_shutdown(broker, worker)
            if rig.store.read(message_id) is not None:
                look()

    rig.broker.middleware.insert(0, Looking())
    rig.door.answers.append(Parked("breaker open", delay_ms=1))
    message_id = rig.send(fail)
    worker = dramatiq.Worker(rig.broker, worker_timeout=50, worker_threads=1)
    worker.start()
    rig.broker.join(rig.queue, timeout=10_000, **_patient(rig.broker))
    worker.stop()
    look()

    assert states == [("parked", 1, None), ("parked", 1, "network"), ("failed", 2, "network")]


def _patient(broker: dramatiq.Broker) -> dict[str, Any]:
    """The stub broker's `join` raises what jobs raised, unless told not to."""
    return {"fail_fast": False} if isinstance(broker, StubBroker) else {}


def test_a_skipped_message_is_reported_from_one_that_was_done(rig: Rig) -> None:
    """A duplicate for example."""
    rig.door.answers.append(Skipped("duplicate"))
    message_id = rig.send(nothing)

    rig.work()

    latest = rig.read(message_id)
    assert (latest.state, latest.percent) == ("skipped", 0)


def test_a_message_cancelled_while_it_waited_is_cancelled(rig: Rig) -> None:
    """Though this guard never saw it begin."""
    message_id = rig.send(nothing)
    CancellationClient(rig.cancellations).cancel(message_id)

    rig.work()

    assert rig.read(message_id).state == "cancelled"


def test_a_job_cancelled_while_it_ran_is_cancelled(rig: Rig) -> None:
    """With how far it came."""

    def stop() -> None:
        progress(50)
        raise Cancelled

    message_id = rig.send(stop)

    rig.work()

    latest = rig.read(message_id)
    assert (latest.state, latest.percent) == ("cancelled", 50)


def test_a_late_write_of_an_earlier_attempt_changes_nothing(rig: Rig) -> None:
    """Each attempt's lines are of a later turn, across parks and retries."""
    rig.door.answers.append(Parked("breaker open", delay_ms=1))
    runs: list[int] = []

    def second_time_lucky() -> None:
        runs.append(1)
        if len(runs) == 1:
            fail()

    message_id = rig.send(second_time_lucky)
    rig.work()

    last = rig.read(message_id)
    rig.store.write([replace(last, state="parked", turn=turn) for turn in range(last.turn)])

    assert (last.state, last.turn) == ("done", 3)
    assert rig.read(message_id) == last


def test_a_long_note_is_cut_and_a_percentage_brought_back(rig: Rig) -> None:
    """A job is not failed for saying too much."""
    seen: list[tuple[int, int]] = []

    def talk() -> None:
        for percent in (-5, 250, 33.9):
            progress(percent, "x" * 1_000)
            guard._writer.flush()
            latest = rig.read(message_id)
            seen.append((latest.percent, len(latest.note)))

    guard = next(each for each in rig.broker.middleware if isinstance(each, Progress))
    message_id = rig.send(talk)
    rig.work()

    assert seen == [(0, 200), (100, 200), (33, 200)]


def test_threads_and_coroutines_of_a_job_speak_for_it(rig: Rig) -> None:
    """In a copy of its context; and a thread that outlives the job says nothing any more."""
    finish, late = threading.Event(), []

    async def fn() -> None:
        await asyncio.to_thread(progress, 70, "from a thread")
        context = contextvars.copy_context()

        def outlive() -> None:
            finish.wait(10)
            context.run(progress, 10, "too late")

        late.append(threading.Thread(target=outlive))
        late[0].start()
        raise ValueError

    dramatiq.actor(broker=rig.broker, queue_name=rig.queue, actor_name="job", max_retries=0)(fn)
    message_id = rig.broker.get_actor("job").send().message_id
    rig.work()
    finish.set()
    late[0].join()

    latest = rig.read(message_id)
    assert (latest.state, latest.percent, latest.note) == ("failed", 70, "from a thread")


def test_outside_a_job_progress_does_nothing() -> None:
    """A handler can be called by a test or a shell."""
    progress(40, "images")


def test_a_talkative_job_is_written_four_times_a_second_and_with_its_last_word(rig: Rig) -> None:
    """Ten thousand calls within a second cost a handful of writes, none of them in the job's thread."""
    ended: list[float] = []

    def talk() -> None:
        until_s = time.monotonic() + 0.6
        for number in range(10_000):
            progress(number / 100, str(number))
        while time.monotonic() < until_s:
            progress(99, "9999")
        ended.append(time.monotonic())

    begun_s = time.monotonic()
    message_id = rig.send(talk)
    rig.work()

    assert rig.read(message_id).note == "9999"
    during = [at for at in rig.store.at_s if begun_s <= at <= ended[0]]
    assert 2 <= len(during) <= 4
    gaps = [after - before for before, after in pairwise(during)]
    assert min(gaps) >= 0.24
    assert all("pressroom" in each.name or each is threading.main_thread() for each in rig.store.by)


def test_a_hundred_jobs_are_written_in_few_round_trips(rig: Rig) -> None:
    """Those that begin and end between two writes cost one line each, and nothing in their own time."""
    rig.send(nothing)
    for _ in range(99):
        rig.broker.get_actor("job").send()

    begun_s = time.monotonic()
    rig.work()

    most = 3 + 4 * (time.monotonic() - begun_s)
    assert len(rig.store.batches) <= most
    assert sum(len(batch) for batch in rig.store.batches) < 200


def test_a_nonsensical_interval_is_refused() -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="interval_s must be more than 0, not 0"):
        Progress(MemoryProgressStore(), interval_s=0)


def test_it_works_by_itself_beside_the_vanilla_middleware(bare_broker: dramatiq.Broker) -> None:
    """Behind Dramatiq's own retries, where its hooks run before it is known whether a message failed for good."""
    queue = f"q{uuid4().hex}"
    store = MemoryProgressStore()
    bare_broker.add_middleware(Progress(store))

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=1, min_backoff=1, max_backoff=1)
    def job() -> None:
        fail()

    message_id = job.send().message_id
    work(bare_broker, queue)

    latest = store.read(message_id)
    assert latest is not None
    assert (latest.state, latest.attempts, latest.category) == ("failed", 2, "network")
