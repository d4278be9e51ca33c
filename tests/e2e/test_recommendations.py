"""The seed's six testing recommendations, each on the platform's own wiring, broker, stores and servers."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import stamina
from sqlalchemy import Engine, event, func, insert, select

from adapters.database.engine import create_engine
from adapters.database.ideas import SqlIdeas
from adapters.database.tables import content_ideas, domain_registry, orgs, publishing_dlq
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from app.bootstrap.broker import build_broker
from app.bootstrap.jobs.services import Services, build_services
from app.settings import AiProvider, Settings, as_environment
from broker import FairRedisBroker
from domain.content_idea_generation import ContentIdeaGeneration
from domain.domain_export import DomainExport
from domain.errors import ProviderUnavailable
from domain.ideas import Idea
from domain.limits import Limits
from middleware import Rate
from middleware.contracts.guard import parse
from tests.adapters.ai.scripted_server import ScriptedServer, answer, scripted_server
from tests.broker.workers import folders
from tests.databases import Database
from tests.middleware.brokers import work
from tests.middleware.own_server import own_valkey

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30


@dataclass(frozen=True)
class Platform:
    """The platform in this process, in a world of its own."""

    settings: Settings
    services: Services
    broker: FairRedisBroker
    client: Any
    engine: Engine
    #: Settings by field name, for a process that shares this world.
    values: Mapping[str, object]

    def new_org(self) -> tuple[UUID, UUID]:
        """An org and its one domain."""
        org_id, domain_id = uuid4(), uuid4()
        with SystemUnitOfWork(self.engine) as unit:
            unit.connection.execute(insert(orgs).values(id=org_id, name="An org"))
            host = f"{domain_id}.example"
            unit.connection.execute(insert(domain_registry).values(org_id=org_id, id=domain_id, host=host))
        return org_id, domain_id


@pytest.fixture
def database_url(database: Database) -> str:
    """The shared database, as workers see it."""
    return database.worker_url


@pytest.fixture
def dead_provider() -> Iterator[ScriptedServer]:
    """An AI provider that answers 500, whatever it is asked."""
    with scripted_server() as server:
        server.script(answer(500))
        yield server


@pytest.fixture
def plain_hooks() -> Iterator[None]:
    """A worker's stack tells uncaught errors in its own way; the test process goes back to pytest's afterwards."""
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture
def platform(
    database_url: str, dead_provider: ScriptedServer, plain_hooks: None, tmp_path: Path
) -> Iterator[Platform]:
    """Handlers and guard stack as workers have them."""
    with own_valkey() as valkey:
        values = {"database_url": database_url, "redis_url": valkey.url, "secret_keys": ["k" * 32]}
        settings = Settings.model_validate(
            {
                **values,
                "home": tmp_path,
                "ai_providers": (AiProvider(name="broken", base_url=dead_provider.url, model="any"),),
                "ai_template_fallback": False,
            }
        )
        broker = build_broker(settings)
        broker.emit_after("process_boot")
        engine = create_engine(database_url)
        with build_services(settings) as services:
            yield Platform(settings, services, broker, broker.client, engine, values)
        engine.dispose()
        broker.close()


def test_1_a_circuit_breaker_opens_under_simulated_failures(
    platform: Platform, dead_provider: ScriptedServer
) -> None:
    """After five failed calls the provider is left alone: further jobs fail over at once, without a request."""
    org_id, domain_id = platform.new_org()
    job = ContentIdeaGeneration(
        org_id=org_id, domain_id=domain_id, keywords=("bread",), content_type="article"
    )
    asked = []
    for _ in range(7):
        before = len(dead_provider.received)
        with stamina.set_testing(True, attempts=2, cap=True), pytest.raises(ProviderUnavailable):
            platform.services.content_idea_generation(job)
        asked.append(len(dead_provider.received) - before)

    assert asked == [2, 2, 2, 2, 2, 0, 0]  # a call is repeated, once here, before it counts as failed


def test_2_the_dead_letters_record_failed_jobs(platform: Platform) -> None:
    """A job that can never succeed is kept whole: whose, why, what kind of fault, and its payload."""
    org_id, _ = platform.new_org()

    @dramatiq.actor(broker=platform.broker, actor_name="domain_export", queue_name="exports", max_retries=3)
    def domain_export(job: DomainExport) -> None:
        platform.services.domain_export(job)

    message = domain_export.send(DomainExport(org_id=org_id, domain_id=uuid4(), format="csv"))
    work(platform.broker, "exports")

    with UnitOfWork(platform.engine, org_id) as unit:
        (letter,) = unit.connection.execute(select(publishing_dlq)).mappings()
    assert (letter["message_id"], letter["actor"]) == (message.message_id, "domain_export")
    assert (letter["error_category"], letter["error_class"]) == ("validation", "domain.errors.NotFound")
    assert letter["payload"]["args"] == list(message.args)
    assert letter["attempts"] == 1  # the same input fails the same way: no retry was spent on it


def test_3_a_worker_that_is_asked_to_stop_finishes_the_job_in_flight(
    platform: Platform, tmp_path: Path
) -> None:
    """SIGTERM in the middle of a job: the job is done, once, nothing is left behind, and the exit code is 0."""
    org_id, domain_id = platform.new_org()
    begun, gate = Event(), Event()

    def wait_at_the_gate(request: BaseHTTPRequestHandler, over: Event) -> None:
        begun.set()
        gate.wait(PATIENCE_S)
        answer(404)(request, over)

    with scripted_server() as slow:
        slow.script(wait_at_the_gate)
        values = {
            **platform.values,
            "home": str(tmp_path / "worker"),
            "ai_providers": [{"name": "slow", "base_url": slow.url, "model": "any"}],
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "broker", "worker", "actors", "--threads", "1"],
            cwd=ROOT,
            env={**os.environ, **as_environment(values)},
            start_new_session=True,
        )
        try:
            _send(values, {"org_id": str(org_id), "domain_id": str(domain_id)})
            assert begun.wait(PATIENCE_S), "the job did not begin"
            worker.send_signal(signal.SIGTERM)
            gate.set()
            code = worker.wait(PATIENCE_S)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)

        assert code == 0
        assert _ideas(platform.engine, org_id) == 3
        assert folders(platform.client, platform.broker, "content") == {}


def test_4_an_idempotency_key_prevents_duplicates(platform: Platform) -> None:
    """Four jobs with one key, worked at once: one batch of ideas."""
    org_id, domain_id = platform.new_org()
    settings = platform.settings.model_copy(update={"ai_providers": (), "ai_template_fallback": True})
    with build_services(settings) as services:

        @dramatiq.actor(broker=platform.broker, actor_name="content_idea_generation", queue_name="content")
        def content_idea_generation(job: ContentIdeaGeneration) -> None:
            services.content_idea_generation(job)

        job = ContentIdeaGeneration(
            org_id=org_id,
            domain_id=domain_id,
            keywords=("bread",),
            content_type="article",
            max_ideas=3,
            idempotency_key="order-17",
        )
        for _ in range(4):
            content_idea_generation.send(job)
        work(platform.broker, "content", threads=4)

    assert _ideas(platform.engine, org_id) == 3


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 500])
def test_5_batches_of_any_size_are_inserted_in_few_statements(platform: Platform, size: int) -> None:
    """Every row arrives, a hundred in one INSERT."""
    org_id, domain_id = platform.new_org()
    statements: list[str] = []

    def note(_c: object, _k: object, statement: str, _p: object, _x: object, _m: bool) -> None:
        if statement.startswith("INSERT INTO content_ideas"):
            statements.append(statement)

    event.listen(platform.engine, "before_cursor_execute", note)
    transactions = SqlTransactions(
        platform.engine, lambda unit: SqlIdeas(unit, limits=Limits()), lambda: None
    )
    ideas = [_idea(number) for number in range(size)]
    transactions(org_id, lambda repository: repository.insert_ideas(domain_id, uuid4(), "a key", ideas))
    event.remove(platform.engine, "before_cursor_execute", note)

    assert _ideas(platform.engine, org_id) == size
    assert len(statements) == -(-size // 100)


def test_6_rate_limits_keep_orgs_apart(platform: Platform) -> None:
    """One org's flood uses up its own rate and nothing of another's: the quiet org's job runs at once."""
    loud, quiet = (platform.new_org()[0] for _ in range(2))
    ran: list[str] = []

    @dramatiq.actor(broker=platform.broker, queue_name="limited", rate=Rate(3, per="1h", burst=3))
    def limited(job: dict[str, Any]) -> None:
        ran.append(job["org_id"])

    for _ in range(20):
        limited.send({"org_id": str(loud)})
    limited.send({"org_id": str(quiet)})
    worker = dramatiq.Worker(platform.broker, queues={"limited"}, worker_timeout=50, worker_threads=1)
    worker.start()
    client = platform.client
    for _ in range(PATIENCE_S * 20):
        # Whoever has used up its rate is not among those that may run any more; what was fetched is not either.
        if len(ran) >= 4 and not client.zcard(f"{platform.broker.base}:qr:limited"):
            break
        client.blpop(["never"], timeout=0.05)
    worker.stop()

    assert ran.count(str(loud)) == 3
    assert ran.count(str(quiet)) == 1
    assert platform.broker.do_qsize("limited") == 17
    rates = f"{platform.broker.base}:t:"
    keys = {key.decode().removeprefix(rates) for key in client.scan_iter(match=f"{rates}*")}
    assert keys == {f"{loud}:limited", f"{quiet}:limited"}


def _send(values: Mapping[str, object], job: dict[str, object]) -> None:
    payload = {**job, "keywords": ["bread"], "content_type": "article", "max_ideas": 3}
    subprocess.run(
        [sys.executable, "-m", "app", "send", "content_idea_generation", json.dumps(payload)],
        cwd=ROOT,
        env={**os.environ, **as_environment(values)},
        check=True,
        capture_output=True,
    )


def _ideas(engine: Engine, org_id: UUID) -> int:
    with UnitOfWork(engine, org_id) as unit:
        return unit.connection.scalar(select(func.count()).select_from(content_ideas)) or 0


def _idea(number: int) -> Idea:
    return parse(
        "any",
        Idea,
        json.dumps(
            {
                "id": str(uuid4()),
                "title": f"Idea {number}",
                "description": "What it says.",
                "target_keywords": ["bread"],
                "content_type": "article",
                "read_time_minutes": 3,
                "outline": ["One"],
                "competitive_analysis": "None.",
            }
        ),
    )
