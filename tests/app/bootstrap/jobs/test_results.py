"""What is kept of a job that starts an experiment or takes feedback in: small, plain, and with everything in it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import dramatiq
import pytest
from sqlalchemy import Engine, insert

from actors import experiment_start, feedback_ingest
from adapters.database.tables import experiment_variants, experiments
from adapters.database.unit_of_work import UnitOfWork
from app.bootstrap.jobs.services import build_services
from app.embedded import Servers
from app.services import replaced_services
from app.settings import Settings
from domain.experiment_start import ExperimentStart
from domain.feedback import FeedbackEvent
from domain.feedback_ingest import EntityFeedback, FeedbackIngest
from middleware.history.results import Recorded, recording
from tests.databases import Database
from tests.tenants import Tenant

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _platform(servers: Servers, database: Database, tmp_path: Path) -> Iterator[None]:
    settings = Settings.model_validate(
        {"database_url": database.worker_url, "redis_url": servers.redis_url, "home": tmp_path}
    )
    with build_services(settings) as services, replaced_services(services):
        yield


def test_a_start_reports_its_run(engine: Engine, tenant: Tenant) -> None:
    """Its status and the run's id; told again by another job that comes too late."""
    experiment_id = uuid4()
    with UnitOfWork(engine, tenant.org_id) as unit:
        own = {"org_id": tenant.org_id}
        unit.connection.execute(
            insert(experiments).values(
                **own, id=experiment_id, domain_id=tenant.domain_id, name="e", status="ready"
            )
        )
        for name in "ab":
            unit.connection.execute(
                insert(experiment_variants).values(**own, id=uuid4(), experiment_id=experiment_id, name=name)
            )
    job = ExperimentStart(org_id=tenant.org_id, experiment_id=experiment_id, triggered_by="ann")

    first = recorded(experiment_start, job)
    assert (first["status"], set(first)) == ("started", {"status", "run_id"})
    assert UUID(str(first["run_id"]))
    assert recorded(experiment_start, job) == {"status": "already_running", "run_id": first["run_id"]}


def test_feedback_reports_how_much(tenant: Tenant) -> None:
    """Entities and windows as numbers: a hundred entities' windows would not fit."""
    now = datetime.now(UTC)
    job = FeedbackIngest(
        org_id=tenant.org_id,
        source="api",
        entities=tuple(
            EntityFeedback(
                id=f"{number}",
                type="user",
                data=(FeedbackEvent(event_id=f"{number}", rating=1, occurred_at=now),),
            )
            for number in range(100)
        ),
        timestamp=now,
    )
    taken = {"processed": 100, "failed": 0, "windows": 300, "errors": []}
    assert recorded(feedback_ingest, job) == {**taken, "set_aside": 0, "reasons": []}


def recorded(actor: "dramatiq.Actor[..., None]", job: object) -> dict[str, object]:
    """The result that an attempt at the job leaves."""
    kept = Recorded()
    token = recording.set(kept)
    try:
        run: Callable[[object], None] = actor.fn
        run(job)
    finally:
        recording.reset(token)
    assert isinstance(kept.result, dict)
    return dict(kept.result)
