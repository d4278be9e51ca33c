"""Feedback as the platform wires it: a real HTTP source, real guards, and connections that are not hoarded."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import dramatiq
import httpx
import pytest
import stamina
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage
from pydantic import SecretStr
from sqlalchemy import Engine, event, select

from adapters.database.engine import create_engine
from adapters.database.tables import feedback_metrics
from adapters.database.unit_of_work import UnitOfWork
from app.bootstrap.jobs.feedback_ingest import CONNECTIONS_AT_ONCE, feedback_ingest
from app.settings import Settings, SettingsError
from domain.errors import InvalidInput, ProviderUnavailable
from domain.feedback import FeedbackEvent, Source
from domain.feedback_ingest import EntityFeedback, FeedbackIngest, IngestOutcome
from middleware import Cancellation, CancellationClient, CircuitBreakers, Deadlines
from middleware.base.poller import Poller
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from tests.adapters.ai.scripted_server import Reply, ScriptedServer, answer, hold, scripted_server
from tests.databases import Database
from tests.middleware.brokers import replace_stack, work
from tests.middleware.cancellation.cancellable_broker import Outcomes
from tests.middleware.eventually import eventually
from tests.middleware.recorded_metrics import Emitted, handling
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

Ingest = Callable[[FeedbackIngest], IngestOutcome]
AT = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def source() -> Iterator[ScriptedServer]:
    """The operator's feedback service."""
    with scripted_server() as server:
        yield server


@pytest.fixture
def wired(database: Database) -> Iterator[Callable[..., Ingest]]:
    """Wires the job as the platform does, with settings of the test's own."""
    with ExitStack() as closing:
        closing.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        http = closing.enter_context(httpx.Client(trust_env=False))

        def wire(engine: Engine, **settings: object) -> Ingest:
            given = {"database_url": database.worker_url, **settings}
            breakers = CircuitBreakers(MemoryCircuitBreakerStore())
            return feedback_ingest(Settings.model_validate(given), engine, http, breakers)

        yield wire


def test_sync_takes_in_what_the_source_has(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant, source: ScriptedServer
) -> None:
    """Page by page and for each entity, with the operator's token; asked again, nothing counts twice."""
    source.script(paged({"a": [["a1", "a2"], ["a3"]], "b": [[]], "c": [["c1"], ["c1", "c2"]]}))
    ingest = wired(engine, feedback_source_url=f"{source.url}/v1", feedback_source_token=SecretStr("a-token"))

    for _ in range(2):
        outcome = ingest(job(tenant, "a", "b", "c", source="sync"))
        assert (outcome.processed, outcome.failed) == (3, 0)
        assert counts(engine, tenant, days=7) == {"a": 3, "b": 0, "c": 2}
    assert {request.headers["Authorization"] for request in source.received} == {"Bearer a-token"}
    assert len(source.received) == 10


def test_a_source_that_is_down_is_left_untouched(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant, source: ScriptedServer
) -> None:
    """Its circuit opens; a hundred entities do not ask it four times each, and the job comes back later, uncharged."""
    source.script(answer(503))
    ingest = wired(engine, feedback_source_url=source.url)
    names = [str(number) for number in range(100)]

    with pytest.raises(ProviderUnavailable):
        ingest(job(tenant, *names, source="sync"))
    assert len(source.received) <= 4 * 15  # five failures, and what ten threads had in hand by then
    asked = len(source.received)
    with pytest.raises(ProviderUnavailable, match="left alone after repeated failures") as caught:
        ingest(job(tenant, *names, source="sync"))
    assert len(source.received) == asked
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 5
    assert counts(engine, tenant, days=7) == {}


def test_some_entities_may_fail(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant, source: ScriptedServer
) -> None:
    """The job lists them with what to do, and counts the others."""
    source.script(paged({"a": [["a1"]], "c": [["c1"]]}))
    outcome = wired(engine, feedback_source_url=source.url)(job(tenant, "a", "b", "c", source="sync"))

    assert [(error.id, error.type, error.category) for error in outcome.errors] == [
        ("b", "content", "validation")
    ]
    assert "answered 404; check the address" in outcome.errors[0].message
    assert counts(engine, tenant, days=7) == {"a": 1, "c": 1}


def test_without_a_source_there_is_nothing_to_sync_with(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant
) -> None:
    """The error is final and names the setting; what comes with the job needs none."""
    ingest = wired(engine)

    with pytest.raises(InvalidInput, match="set PRESSROOM_FEEDBACK_SOURCE_URL"):
        ingest(job(tenant, "a", source="sync"))
    assert ingest(job(tenant, "a")).processed == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"feedback_source_url": "https://me:s3cret@host"},
        {"feedback_source_url": "https://host", "feedback_source_token": SecretStr("s3cret\n")},
    ],
    ids=["url", "token"],
)
def test_a_source_that_cannot_work_is_found_at_the_start(
    wired: Callable[..., Ingest], engine: Engine, settings: dict[str, object]
) -> None:
    """Before any job; the error names the setting and no value."""
    with pytest.raises(SettingsError, match="PRESSROOM_FEEDBACK_SOURCE_URL") as caught:
        wired(engine, **settings)
    assert "s3cret" not in str(caught.value)


def test_feedback_leaves_connections_to_others(
    wired: Callable[..., Ingest], database: Database, tenant: Tenant
) -> None:
    """Eight jobs of thirty entities on a pool that is too small for all their threads: none fails for it."""
    engine = create_engine(database.worker_url, pool_size=1, max_overflow=CONNECTIONS_AT_ONCE)
    held, most, lock = 0, 0, threading.Lock()

    def count(change: int) -> None:
        nonlocal held, most
        with lock:
            held += change
            most = max(most, held)

    event.listen(engine, "checkout", lambda *_: count(1))
    event.listen(engine, "checkin", lambda *_: count(-1))
    ingest = wired(engine)
    names = [str(number) for number in range(30)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: ingest(job(tenant, *names)), range(8)))
    engine.dispose()

    assert [(outcome.processed, outcome.failed) for outcome in outcomes] == [(30, 0)] * 8
    assert 1 < most <= CONNECTIONS_AT_ONCE


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    """A broker without any middleware yet."""
    made = StubBroker()
    yield made
    made.flush_all()
    made.close()


def test_a_source_that_hangs_ends_with_the_jobs_time(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant, source: ScriptedServer, broker: StubBroker
) -> None:
    """Each thread knows the job's deadline: the attempt ends as `timeout`, and nothing is stuck."""
    source.script(hold())
    ended, outcomes, emitted = Outcomes(), list[IngestOutcome](), Emitted()
    replace_stack(broker, ended, Deadlines(grace_ms=2_000, exit_process=None), CurrentMessage())
    declare(broker, wired(engine, feedback_source_url=source.url), outcomes, time_limit=600)

    broker.get_actor("job").send(job(tenant, *"abcdefghijkl", source="sync").model_dump_json())
    with handling(emitted):
        work(broker, "q")

    assert (ended.seen, outcomes, emitted.of("jobs_stuck_total")) == (["failed"], [], [])
    assert len(source.received) <= 12
    assert counts(engine, tenant, days=7) == {}
    assert eventually(lambda: not [each for each in threading.enumerate() if "ThreadPool" in each.name])


def test_a_cancelled_job_stops_while_its_threads_wait(
    wired: Callable[..., Ingest], engine: Engine, tenant: Tenant, source: ScriptedServer, broker: StubBroker
) -> None:
    """The request reaches it between two looks; the entities that were not begun never are."""
    asked_for = threading.Event()
    store = MemoryCancellationStore()
    guard = Cancellation(store, flags=Poller(interval_s=3_600))

    def cancel(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        if not asked_for.is_set():
            asked_for.set()
            CancellationClient(store).cancel(message.message_id)
            guard.refresh()
        paged({name: [[name]] for name in names})(handler, released)

    names = [str(number) for number in range(100)]
    source.script(cancel)
    ended, outcomes = Outcomes(), list[IngestOutcome]()
    replace_stack(broker, ended, guard, CurrentMessage())
    declare(broker, wired(engine, feedback_source_url=source.url), outcomes)
    message = broker.get_actor("job").send(job(tenant, *names, source="sync").model_dump_json())
    work(broker, "q")

    assert (ended.seen, outcomes) == (["cancelled"], [])
    assert len(source.received) < 100
    assert counts(engine, tenant, days=7) == {}


def declare(broker: StubBroker, ingest: Ingest, outcomes: list[IngestOutcome], **options: object) -> None:
    """An actor that does the job in earnest, and keeps what came of it."""

    def fn(payload: str) -> None:
        outcomes.append(ingest(FeedbackIngest.model_validate_json(payload)))

    dramatiq.actor(broker=broker, queue_name="q", actor_name="job", **options)(fn)  # type: ignore[call-overload]


def job(tenant: Tenant, *names: str, source: Source = "api") -> FeedbackIngest:
    """About so many entities; with an event for each, unless the source is asked."""
    return FeedbackIngest(
        org_id=tenant.org_id,
        source=source,
        entities=tuple(
            EntityFeedback(
                id=name,
                type="content",
                data=()
                if source == "sync"
                else (FeedbackEvent(event_id=uuid4().hex, rating=5, occurred_at=AT),),
            )
            for name in names
        ),
        timestamp=AT,
    )


def paged(pages: dict[str, list[list[str]]]) -> Reply:
    """Answers with the event ids of the page asked for; entities that are not there are not found."""

    def write(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        if query["entity_id"] not in pages:
            answer(404)(handler, released)
            return
        number = int(query.get("cursor", 0))
        known = pages[query["entity_id"]]
        body = {
            "events": [
                {"event_id": each, "rating": 4, "occurred_at": AT.isoformat()} for each in known[number]
            ],
            "next_cursor": str(number + 1) if number + 1 < len(known) else None,
        }
        answer(200, json.dumps(body).encode())(handler, released)

    return write


def counts(engine: Engine, tenant: Tenant, *, days: int) -> dict[str, int]:
    """How much feedback each entity has in the window."""
    kept = feedback_metrics.c
    with UnitOfWork(engine, tenant.org_id) as unit:
        query = select(kept.entity_id, kept.count).where(kept.window_days == days)
        return {name: count for name, count in unit.connection.execute(query)}  # noqa: C416  # rows are no tuples to a type checker
