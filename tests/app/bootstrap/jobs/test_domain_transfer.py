"""`domain_transfer` by a real worker with every guard, and what the former owner still can do afterwards."""

import json
import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, text

from adapters.database.tables import domain_registry, job_attempts, tenant_tables
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.jobs.domain_transfer import transfer_tokens
from app.bootstrap.jobs.services import Services, build_services
from app.settings import Settings, as_environment
from domain.content_idea_generation import ContentIdeaGeneration
from domain.domain_export import DomainExport, LocalFile
from domain.domain_transfer import DomainTransfer, TransferTokenUsed
from domain.errors import NotFound
from domain.transfer_tokens import IssuedToken, TokenOrder
from tests.databases import Database
from tests.middleware.own_server import own_valkey
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]

#: Sends the jobs that it reads, a line each, and works them.
WORK = textwrap.dedent("""
    import json
    import sys

    from dramatiq import Worker

    import actors
    from app.broker import broker

    for line in sys.stdin:
        actors.domain_transfer.send(json.loads(line))
    broker.emit_after("process_boot")
    worker = Worker(broker, queues={"domains"}, worker_timeout=50, worker_threads=1)
    worker.start()
    broker.join("domains", timeout=30_000)
    worker.stop()
""")


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Iterator[Settings]:
    """With a Redis of this test's own."""
    with own_valkey() as valkey:
        yield Settings.model_validate(
            {
                "database_url": database.worker_url,
                "redis_url": valkey.url,
                "home": tmp_path,
                "log_level": "DEBUG",
            }
        )


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """The jobs, wired."""
    with build_services(settings) as built:
        yield built


def issue(settings: Settings, tenant: Tenant) -> IssuedToken:
    """A token for the tenant's domain."""
    order = TokenOrder(org_id=tenant.org_id, domain_id=tenant.domain_id, issued_by="ann", reason="sold")
    with transfer_tokens(settings) as tokens:
        return tokens.issue(order)


def owner_of(engine: Engine, domain_id: UUID) -> UUID | None:
    """Whose the domain is."""
    with SystemUnitOfWork(engine) as unit:
        query = select(domain_registry.c.org_id).where(domain_registry.c.id == domain_id)
        return unit.connection.scalar(query)


def work(settings: Settings, *jobs: dict[str, object]) -> str:
    """Have a worker process take the jobs; all that it writes."""
    values = settings.model_dump(mode="json", include={"home", "log_level"})
    values |= {name: getattr(settings, name).get_secret_value() for name in ("database_url", "redis_url")}
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        cwd=ROOT,
        env={**os.environ, **as_environment(values)},
        input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_worker_transfers_a_domain_and_no_token_is_left_anywhere(
    settings: Settings, engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """Neither in its log at its most talkative, nor in history, dead letters, audit log or any other table."""
    giver, receiver = new_tenant(), new_tenant()
    token, unknown = issue(settings, giver).token.get_secret_value(), secrets.token_hex(32)
    job: dict[str, object] = {"org_id": str(receiver.org_id), "requested_by": "bob"}

    written = work(
        settings, {**job, "token": f" {token.upper()} "}, {**job, "token": unknown}, {**job, "token": token}
    )

    assert owner_of(engine, giver.domain_id) == receiver.org_id
    ends, letters = attempts_of(engine, receiver.org_id), letters_of(engine, receiver.org_id)
    assert ends == [("failed", "TransferTokenUnknown"), ("failed", "TransferTokenUsed"), ("succeeded", None)]
    assert len(letters) == 2
    assert all("***" in letter and "args.0.token" in letter for letter in letters)
    assert "TransferTokenUsed" in written
    for secret in (token, unknown):
        assert secret not in written.lower()
        assert secret not in everything(engine)


def test_jobs_under_the_former_owner_find_nothing(
    services: Services, settings: Settings, new_tenant: Callable[[], Tenant]
) -> None:
    """Those that were queued before the transfer, and those that are sent after it; the new owner's find all."""
    giver, receiver = new_tenant(), new_tenant()
    job = DomainTransfer(org_id=receiver.org_id, token=issue(settings, giver).token, requested_by="bob")

    outcome = services.domain_transfer(job)

    assert (outcome.domain_id, outcome.host, outcome.transferred_from) == (
        giver.domain_id,
        giver.host,
        giver.org_id,
    )
    for tenant, finds in ((giver, False), (receiver, True)):
        export = DomainExport(
            org_id=tenant.org_id,
            domain_id=giver.domain_id,
            format="csv",
            destination=LocalFile(path="site.csv"),
        )
        ideas = ContentIdeaGeneration(
            org_id=tenant.org_id, domain_id=giver.domain_id, keywords=("rye",), content_type="article"
        )
        if finds:
            assert services.domain_export(export).rows == 0
            assert services.content_idea_generation(ideas).status == "completed"
        else:
            with pytest.raises(NotFound, match=f"domain {giver.domain_id} not found"):
                services.domain_export(export)
            with pytest.raises(NotFound, match=f"domain {giver.domain_id} not found"):
                services.content_idea_generation(ideas)


def test_a_token_works_once(
    services: Services, settings: Settings, engine: Engine, new_tenant: Callable[[], Tenant]
) -> None:
    """Also for the former owner, who cannot take the domain back with it."""
    giver, receiver = new_tenant(), new_tenant()
    token = issue(settings, giver).token
    services.domain_transfer(DomainTransfer(org_id=receiver.org_id, token=token, requested_by="bob"))

    for org_id in (giver.org_id, receiver.org_id):
        with pytest.raises(TransferTokenUsed):
            services.domain_transfer(DomainTransfer(org_id=org_id, token=token, requested_by="eve"))

    assert owner_of(engine, giver.domain_id) == receiver.org_id


def attempts_of(engine: Engine, org_id: UUID) -> list[tuple[str, str | None]]:
    """How the org's attempts ended, in order of the alphabet."""
    with SystemUnitOfWork(engine) as unit:
        attempts = job_attempts.c
        rows = unit.connection.execute(
            select(attempts.outcome, attempts.error_class)
            .where(attempts.org_id == org_id, attempts.finished_at.is_not(None))
            .order_by(attempts.outcome, attempts.error_class)
        )
        return [(outcome, error and error.rpartition(".")[2]) for outcome, error in rows]


def letters_of(engine: Engine, org_id: UUID) -> list[str]:
    """The org's dead letters, each as one text."""
    with SystemUnitOfWork(engine) as unit:
        query = text("SELECT publishing_dlq::text FROM publishing_dlq WHERE org_id = :org_id")
        return list(unit.connection.scalars(query, {"org_id": org_id}))


def everything(engine: Engine) -> str:
    """All that is in the database."""
    with SystemUnitOfWork(engine) as unit:
        return "".join(
            row
            for table in tenant_tables()
            for row in unit.connection.scalars(text(f"SELECT {table.name}::text FROM {table.name}"))
        )
