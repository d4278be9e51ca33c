"""The outbox in real workers: how fast it is, what it does without a broker, and what runs when it sent twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from adapters.outbox import BrokerUnavailable, Relay
from app.bootstrap.worker.outbox import UnknownActor, broker_sender, relay_outbox
from app.bootstrap.worker.periodic_tasks import BackgroundTasks
from app.embedded import Servers
from app.settings import Settings
from tests.adapters.outbox.letters import Letter, rows
from tests.databases import Database
from tests.middleware.brokers import stored
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling
from tests.tenants import Tenant

from .guarded_broker import commit_letters, guarded_broker

pytestmark = pytest.mark.slow

HOUR_S = 3_600.0


class Delivered:
    """What the actor does: remembers, and waits when it is told to."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.arrived = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, letter: Letter) -> None:
        self.numbers.append(letter.number)
        self.arrived.release()
        assert self.go_on.wait(PATIENCE_S)


@contextmanager
def working(broker: RedisBroker, threads: int = 2) -> Iterator[None]:
    """A worker, for as long as the context is."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def duties(database: Database, redis_url: str, *, every_s: float) -> BackgroundTasks:
    """The platform's own, with another pace."""
    settings = Settings.model_validate({"database_url": database.worker_url, "redis_url": redis_url})
    return BackgroundTasks(settings, {"outbox": relay_outbox}, every_s=every_s)


def test_what_a_worker_commits_arrives_without_waiting_for_the_next_look(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant
) -> None:
    """The commit wakes the relay of its process; the next look would be in an hour."""
    delivered = Delivered()
    beside = duties(database, servers.redis_url, every_s=HOUR_S)
    with (
        guarded_broker(servers.redis_url, f"t{uuid4().hex}", delivered, beside) as broker,
        working(broker),
    ):
        for number in range(1, 4):
            commit_letters(engine, broker, tenant, number)
            for _ in range(number):
                assert delivered.arrived.acquire(timeout=PATIENCE_S)
        assert eventually(lambda: rows(engine) == [])
    assert sorted(delivered.numbers) == [0, 0, 0, 1, 1, 2]


def test_what_another_process_commits_is_looked_for(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant
) -> None:
    """Without a wake, the next look finds it."""
    delivered, namespace = Delivered(), f"t{uuid4().hex}"
    beside = duties(database, servers.redis_url, every_s=0.05)
    with (
        guarded_broker(servers.redis_url, namespace, delivered) as elsewhere,
        guarded_broker(servers.redis_url, namespace, delivered, beside) as broker,
        working(broker),
    ):
        commit_letters(engine, elsewhere, tenant, 1)
        assert delivered.arrived.acquire(timeout=PATIENCE_S)


def test_jobs_that_end_with_the_worker_are_heard(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant
) -> None:
    """What a job commits while its worker drains is sent before the process is gone."""
    delivered, namespace = Delivered(), f"t{uuid4().hex}"
    beside = duties(database, servers.redis_url, every_s=HOUR_S)
    draining = threading.Event()

    class Draining(dramatiq.Middleware):
        def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
            draining.set()

    def commit_another(letter: Letter) -> None:
        delivered(letter)
        if letter.number == 0 and len(delivered.numbers) == 1:
            assert draining.wait(PATIENCE_S)
            commit_letters(engine, broker, tenant, 1)

    with guarded_broker(servers.redis_url, namespace, commit_another, beside, Draining()) as broker:
        with working(broker):
            commit_letters(engine, broker, tenant, 1)
            assert delivered.arrived.acquire(timeout=PATIENCE_S)
        # It lies in the queue, or another thread of the worker had it before it ended.
        assert (len(stored(broker, "default")) + len(delivered.numbers), rows(engine)) == (2, [])


def test_a_broker_that_is_away_costs_nothing_but_time(
    engine: Engine, database: Database, tenant: Tenant
) -> None:
    """Rows stay as they were while it is away, and arrive when it is back."""
    delivered, emitted = Delivered(), Emitted()
    with own_valkey() as server, handling(emitted):
        beside = duties(database, server.url, every_s=0.05)
        with guarded_broker(server.url, f"t{uuid4().hex}", delivered, beside) as broker:
            beside.after_worker_boot(broker, _NO_WORKER)
            server.stop()
            commit_letters(engine, broker, tenant, 3)
            assert eventually(lambda: len(emitted.of("worker_duty_failed_total", duty="outbox")) >= 2)
            assert [row["attempts"] for row in rows(engine)] == [0, 0, 0]
            server.start()
            assert eventually(lambda: rows(engine) == [])
            beside.after_worker_shutdown(broker, _NO_WORKER)
            with working(broker):
                for _ in range(3):
                    assert delivered.arrived.acquire(timeout=PATIENCE_S)
    assert sorted(delivered.numbers) == [0, 1, 2]
    assert emitted.of("outbox_refused_total") == []


def test_a_message_that_is_sent_again_while_it_runs_does_not_run_twice(
    engine: Engine, servers: Servers, tenant: Tenant
) -> None:
    """The second copy waits until the first is done, and is skipped then."""
    delivered, emitted = Delivered(), Emitted()
    delivered.go_on.clear()
    with (
        guarded_broker(servers.redis_url, f"t{uuid4().hex}", delivered) as broker,
        working(broker),
        handling(emitted),
    ):
        commit_letters(engine, broker, tenant, 1)
        (row,) = rows(engine)
        send = broker_sender(broker)
        send(row["message"])
        assert delivered.arrived.acquire(timeout=PATIENCE_S)
        send(row["message"])
        assert eventually(lambda: len(emitted.of("idempotency_duplicates_total", outcome="parked")) > 0)
        delivered.go_on.set()
        assert eventually(lambda: len(emitted.of("idempotency_duplicates_total", outcome="skipped")) > 0)
        broker.join("default", timeout=PATIENCE_S * 1_000)
    assert delivered.numbers == [0]


def test_an_actor_that_this_release_does_not_know_is_left_to_another(
    engine: Engine, servers: Servers, tenant: Tenant
) -> None:
    """A relay of an older release refuses the message; one of a newer release sends it."""
    namespace = f"t{uuid4().hex}"
    with guarded_broker(servers.redis_url, namespace, Delivered()) as newer:
        commit_letters(engine, newer, tenant, 1)
        (row,) = rows(engine)
        older = RedisBroker(url=servers.redis_url, namespace=namespace)  # type: ignore[no-untyped-call]
        with pytest.raises(UnknownActor):
            broker_sender(older)(row["message"])
        older.close()
        Relay(engine, broker_sender(older), uniform=lambda low, high: 0.0)()
        assert [each["error"] for each in rows(engine)] == ["UnknownActor"]
        Relay(engine, broker_sender(newer))()
        assert (rows(engine), len(stored(newer, "default"))) == ([], 1)


def test_a_broker_that_does_not_answer_is_reported_from_a_bad_message(engine: Engine, tenant: Tenant) -> None:
    """What the client raises for a broker that is away, or full, is about every message."""
    with own_valkey() as server, guarded_broker(server.url, "t", Delivered()) as broker:
        commit_letters(engine, broker, tenant, 1)
        (row,) = rows(engine)
        broker.client.config_set("maxmemory", "1")
        with pytest.raises(BrokerUnavailable, match="OutOfMemory"):
            broker_sender(broker)(row["message"])
        server.stop()
        with pytest.raises(BrokerUnavailable, match="ConnectionError"):
            broker_sender(broker)(row["message"])


def test_how_much_waits_is_reported(
    engine: Engine, database: Database, servers: Servers, tenant: Tenant
) -> None:
    """The gauges are emitted when a worker begins, and now and then."""
    emitted = Emitted()
    with guarded_broker(servers.redis_url, f"t{uuid4().hex}", Delivered()) as broker, handling(emitted):
        commit_letters(engine, broker, tenant, 2)
        relay_outbox(engine, broker)()
    assert emitted.of("outbox_pending") == [2]
    assert emitted.of("outbox_refused") == [0]
    assert len(emitted.of("outbox_oldest_age_seconds")) == 1
    assert emitted.labels_of("outbox_sent_total") == [{"actor": "deliver"}] * 2


#: Stands for a worker where only its hooks are called.
_NO_WORKER: dramatiq.Worker = object()  # type: ignore[assignment]
