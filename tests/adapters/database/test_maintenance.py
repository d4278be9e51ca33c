"""What maintenance removes, on the real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, Table, func, insert, select

from adapters.database.maintenance import SqlMaintenance
from adapters.database.tables import (
    audit_log,
    domain_exports,
    idempotency_keys,
    job_attempts,
    publishing_dlq,
)
from adapters.database.transactions import SqlSystemTransactions
from adapters.database.unit_of_work import SystemUnitOfWork
from domain.database_maintenance import Aged
from domain.domain_export import Download, LocalFile, S3Object
from tests.tenants import Tenant

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=2000)
WINDOW = timedelta(days=1900)


@pytest.fixture
def system(engine: Engine) -> SqlSystemTransactions[SqlMaintenance]:
    """Units of work of the system role."""
    return SqlSystemTransactions(engine, SqlMaintenance, lambda: None)


def put(engine: Engine, table: Table, **values: object) -> None:
    """One row."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(table).values(**values))


def export_row(tenant: Tenant, destination: str, location: str | None, **values: object) -> dict[str, object]:
    """An export of this tenant."""
    return {
        "org_id": tenant.org_id,
        "id": uuid4(),
        "domain_id": tenant.domain_id,
        "written_for": tenant.org_id,
        "format": "csv",
        "destination": destination,
        "status": "completed",
        "location": location,
        "data_version": 1,
        "finished_at": OLD,
        "expires_at": OLD,
    } | values


def test_expired_exports_come_back_as_the_jobs_they_were(
    engine: Engine, tenant: Tenant, system: SqlSystemTransactions[SqlMaintenance]
) -> None:
    """With the destination that their files went to; those that are kept still do not come."""
    rows = [
        export_row(tenant, "download", "exports/a/b.csv"),
        export_row(tenant, "local", f"{tenant.org_id}/a/site.csv"),
        export_row(tenant, "s3", "s3://bucket/a/b.csv"),
        export_row(tenant, "download", "exports/a/c.csv", expires_at=NOW + timedelta(days=1)),
        export_row(tenant, "download", None, status="failed", expires_at=None),
    ]
    for row in rows:
        put(engine, domain_exports, **row)

    found = {each.export_id: each.job for each in system(lambda repository: all_expired(repository))}

    mine = {row["id"]: found[UUID(str(row["id"]))].destination for row in rows if row["id"] in found}
    assert mine == {
        rows[0]["id"]: Download(),
        rows[1]["id"]: LocalFile(path="a/site.csv"),
        rows[2]["id"]: S3Object(bucket="bucket", key="a/b.csv"),
    }


def test_the_file_of_a_domain_that_changed_hands_is_found_where_it_was_written(
    engine: Engine, tenant: Tenant, system: SqlSystemTransactions[SqlMaintenance]
) -> None:
    """The former owner's folder, which the new one's jobs do not reach."""
    former = uuid4()
    row = export_row(tenant, "local", f"{former}/a/site.csv", written_for=former)
    put(engine, domain_exports, **row)

    found = {each.export_id: each.job for each in system(lambda repository: all_expired(repository))}

    job = found[UUID(str(row["id"]))]
    assert (job.org_id, job.destination) == (former, LocalFile(path="a/site.csv"))


def all_expired(repository: SqlMaintenance) -> list:  # type: ignore[type-arg]
    """Page by page."""
    found = repository.expired_exports(None, 2)
    while page := repository.expired_exports(found[-1].export_id, 2) if found else []:
        found += page
    return found


def test_rows_of_every_kind_go_by_age_and_in_batches(
    engine: Engine, tenant: Tenant, system: SqlSystemTransactions[SqlMaintenance]
) -> None:
    """The old go, at most so many at once, and the young stay."""
    org = {"org_id": tenant.org_id}
    for at in (OLD, OLD, OLD, NOW):
        put(
            engine,
            publishing_dlq,
            **org,
            id=uuid4(),
            queue="q",
            error_category="unknown",
            message="m",
            created_at=at,
        )
        put(engine, idempotency_keys, **org, job_type="t", key=uuid4().hex, holder=uuid4(), expires_at=at)
        attempt = {"message_id": "m", "actor": "a", "queue": "q", "attempt": 0, "outcome": "failed"}
        put(engine, job_attempts, **org, id=uuid4(), **attempt, started_at=at, finished_at=at)
        put(engine, audit_log, **org, actor="a", action="x", target="t", reason="r", at=at)
        ended = {"status": "failed", "expires_at": None, "finished_at": at}
        put(engine, domain_exports, **export_row(tenant, "download", None, **ended))

    kinds: dict[Aged, Table] = {
        "dead_letters": publishing_dlq,
        "idempotency_keys": idempotency_keys,
        "attempts": job_attempts,
        "audit": audit_log,
        "failed_exports": domain_exports,
    }
    for what, table in kinds.items():
        assert system(lambda repository, what=what: repository.delete_aged(what, WINDOW, 2)) == 2  # type: ignore[misc]
        while system(lambda repository, what=what: repository.delete_aged(what, WINDOW, 100)):  # type: ignore[misc]
            pass
        with SystemUnitOfWork(engine) as unit:
            left = unit.connection.scalar(
                select(func.count()).select_from(table).where(table.c.org_id == tenant.org_id)
            )
        assert (what, left) == (what, 1)


def test_an_attempt_whose_worker_died_goes_by_its_start(
    engine: Engine, tenant: Tenant, system: SqlSystemTransactions[SqlMaintenance]
) -> None:
    """Nobody is left to end it, and it must not stay for ever; one that runs stays."""
    fields = {"message_id": "m", "actor": "a", "queue": "q", "attempt": 1, "outcome": "running"}
    for at in (OLD, OLD, NOW):
        put(engine, job_attempts, org_id=tenant.org_id, id=uuid4(), **fields, started_at=at)
    put(
        engine,
        job_attempts,
        **{**fields, "outcome": "failed"},
        org_id=tenant.org_id,
        id=uuid4(),
        started_at=OLD,
        finished_at=OLD,
    )

    # One batch takes of both sorts.
    assert system(lambda repository: repository.delete_aged("attempts", WINDOW, 3)) == 3

    with SystemUnitOfWork(engine) as unit:
        query = select(job_attempts.c.started_at).where(job_attempts.c.org_id == tenant.org_id)
        assert unit.connection.scalars(query).all() == [NOW]


def test_lost_exports_are_gone(
    engine: Engine, tenant: Tenant, system: SqlSystemTransactions[SqlMaintenance]
) -> None:
    """By id."""
    row = export_row(tenant, "download", "exports/a/b.csv")
    put(engine, domain_exports, **row)

    assert system(lambda repository: repository.forget_exports([UUID(str(row["id"]))])) == 1
    assert system(lambda repository: repository.forget_exports([UUID(str(row["id"]))])) == 0
