"""Attempts are known from their start, at no cost to those that are short."""

import threading
from collections.abc import Sequence
from uuid import uuid4

import dramatiq
import pytest

from middleware.history.guard import AttemptRecord, History
from middleware.history.memory import MemoryHistoryStore
from middleware.history.results import record_result
from tests.middleware.attempt_outcomes import FATES, Fate, send_to, watched
from tests.middleware.brokers import work
from tests.middleware.recorded_metrics import Emitted, handling


class Counted(MemoryHistoryStore):
    """Notes what it is given, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[AttemptRecord] = []
        self.got = threading.Event()

    def record(self, attempts: Sequence[AttemptRecord]) -> None:
        super().record(attempts)
        self.given += attempts
        self.got.set()


def test_a_job_that_runs_is_known_until_it_ends(bare_broker: dramatiq.Broker) -> None:
    """As running, on which worker and since when; its end takes that record's place."""
    store, go = Counted(), threading.Event()
    watched(bare_broker, History(store, flush_every_s=0.01, worker="w1"))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        record_result({"rows": 1})
        assert go.wait(10)

    worker = dramatiq.Worker(bare_broker, worker_timeout=20, worker_threads=1)
    worker.start()
    message = job.send_with_options(org="acme", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert store.got.wait(10)
    (running,) = store.recent(org="acme", outcome="running")
    go.set()
    bare_broker.join(queue, timeout=10_000)
    worker.stop()

    assert (running.message_id, running.worker, running.trace_id) == (message.message_id, "w1", "a" * 32)
    assert (running.finished_at, running.duration_ms, running.result) == (None, None, None)
    (ended,) = store.attempts(message.message_id)
    assert (ended.id, ended.started_at) == (running.id, running.started_at)
    assert (ended.outcome, ended.result) == ("succeeded", {"rows": 1})
    assert [each.outcome for each in store.given] == ["running", "succeeded"]


@pytest.mark.parametrize("fate", FATES.values(), ids=list(FATES))
def test_a_short_job_is_written_once(bare_broker: dramatiq.Broker, fate: Fate) -> None:
    """What began and ended between two batches costs what it did before anybody wanted to see it run."""
    store = Counted()
    watched(bare_broker, History(store, flush_every_s=60))

    message = send_to(bare_broker, fate)
    work(bare_broker, message.queue_name)

    assert tuple(each.outcome for each in store.given) == fate.outcomes


def test_a_short_job_takes_one_place_among_those_that_wait(bare_broker: dramatiq.Broker) -> None:
    """So that while the store is away as many ends are kept as were before anybody wanted to see jobs run."""
    store, emitted = Counted(), Emitted()
    watched(bare_broker, History(store, flush_every_s=60, batch_size=3, buffer_size=3))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        """Does nothing."""

    sent = [job.send() for _ in range(3)]
    with handling(emitted):
        work(bare_broker, queue)

    assert [(each.message_id, each.outcome) for each in store.given] == [
        (message.message_id, "succeeded") for message in sent
    ]
    assert emitted.of("history_dropped_total") == []


def test_an_end_that_meets_the_writer_is_not_lost(bare_broker: dramatiq.Broker) -> None:
    """Where the record is being written as the job ends, its end is written after it."""

    class Interrupting(Counted):
        def record(self, attempts: Sequence[AttemptRecord]) -> None:
            if not self.given:
                go.set()  # the job ends now
                assert over.wait(10)
            super().record(attempts)

    class Over(dramatiq.Middleware):
        def after_ack(self, *args: object) -> None:
            over.set()

    store, go, over = Interrupting(), threading.Event(), threading.Event()
    watched(bare_broker, Over(), History(store, flush_every_s=0.01))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        assert go.wait(10)

    message = job.send()
    work(bare_broker, queue)

    assert [each.outcome for each in store.given] == ["running", "succeeded"]
    assert [each.outcome for each in store.attempts(message.message_id)] == ["succeeded"]
