"""What PostgreSQL refuses, in the domain's words and without anybody's data."""

import traceback

import pytest
from sqlalchemy import Engine, insert, select, text

from adapters.database.engine import create_engine
from adapters.database.tables import content_items, domain_registry, domain_settings
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from domain.errors import DatabaseUnavailable, InvalidInput, JobError, PermanentError
from tests.databases import Database
from tests.tenants import Tenant

from .faults import LostCommits

#: A value that must never be told.
SECRET = "s3cret-of-a-customer"


@pytest.mark.parametrize(
    ("statement", "kind", "reported"),
    [
        (
            "INSERT INTO domain_registry (org_id, id, host) VALUES (:org, :domain, :secret)",
            InvalidInput,
            "pk_domain",
        ),
        (
            "UPDATE domain_registry SET host = repeat(:secret, 100)",
            InvalidInput,
            "ck_domain_registry_host_length",
        ),
        ("UPDATE domain_registry SET host = NULLIF(:secret, :secret)", InvalidInput, "column host"),
        ("SELECT CAST(:secret AS integer)", InvalidInput, "22P02"),
        ("SELECT CAST(:secret || chr(0) AS text)", InvalidInput, "54000"),
        ("INSERT INTO orgs (id, name) VALUES (:domain, :secret)", PermanentError, "grant"),
        (
            "INSERT INTO domain_registry (org_id, id, host) VALUES (:domain, :domain, :secret)",
            PermanentError,
            "another org",
        ),
        ("SELECT :secret FROM nowhere", DatabaseUnavailable, "migrate"),
        ("SELECT nothing(:secret)", DatabaseUnavailable, "migrate"),
        ("SELECT FROM WHERE :secret", PermanentError, "fault of the program"),
        ("SELECT 1 FROM domain_registry WHERE :secret <> '' FOR UPDATE NOWAIT", DatabaseUnavailable, "55P03"),
    ],
)
def test_each_refusal_has_its_kind(
    engine: Engine, tenant: Tenant, statement: str, kind: type[JobError], reported: str
) -> None:
    """Refused values, refused access, missing tables and our own faults are told apart, and tell no value."""
    transactions = SqlTransactions(engine, lambda unit: unit, lambda: None)
    values = {"org": tenant.org_id, "domain": tenant.domain_id, "secret": SECRET}
    with UnitOfWork(engine, tenant.org_id) as holder:
        if "NOWAIT" in statement:
            holder.connection.execute(select(domain_registry).with_for_update())
        with pytest.raises(JobError, match=reported) as refused:
            transactions(tenant.org_id, lambda unit: unit.connection.execute(text(statement), values))
    assert type(refused.value) is kind
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_a_reference_into_nothing_is_refused(engine: Engine, tenant: Tenant) -> None:
    """A row under a parent that the org does not have is the caller's error."""
    transactions = SqlTransactions(engine, lambda unit: unit, lambda: None)
    row = {"org_id": tenant.org_id, "domain_id": tenant.org_id, "name": SECRET, "value": 1}
    with pytest.raises(InvalidInput, match="fk_domain_settings") as refused:
        transactions(tenant.org_id, lambda unit: unit.connection.execute(insert(domain_settings).values(row)))
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_nul_in_a_text_is_refused(engine: Engine, tenant: Tenant) -> None:
    """What PostgreSQL's text cannot hold is refused before it is sent."""
    transactions = SqlTransactions(engine, lambda unit: unit, lambda: None)
    with pytest.raises(InvalidInput):
        transactions(
            tenant.org_id,
            lambda unit: unit.connection.execute(select(content_items).where(content_items.c.title == "\0")),
        )


def test_misuse_is_reported_as_such(engine: Engine, tenant: Tenant) -> None:
    """A statement that SQLAlchemy cannot even build is a fault of the program."""
    transactions = SqlTransactions(engine, lambda unit: unit, lambda: None)
    with pytest.raises(PermanentError, match="does not offer"):
        transactions(tenant.org_id, lambda unit: unit.connection.execute(text("SELECT :given"), {}))


def test_a_full_pool_is_worth_another_attempt(database: Database, tenant: Tenant) -> None:
    """Without a free connection in time the job comes back later."""
    small = create_engine(database.worker_url, pool_size=1, max_overflow=0, pool_timeout_s=0.01)
    transactions = SqlTransactions(small, lambda unit: unit, lambda: None)
    with small.connect(), pytest.raises(DatabaseUnavailable, match="larger pool"):
        transactions(tenant.org_id, lambda unit: None)
    small.dispose()


def test_an_outage_says_where_and_no_password(database: Database, tenant: Tenant) -> None:
    """The error of a server that is away explains itself, without the URL's password."""
    with LostCommits(database.worker_url, losses=0).running() as proxy:
        nobody_there = proxy.url.replace("pressroom_worker@", f"pressroom_worker:{SECRET}@")
    transactions = SqlTransactions(create_engine(nobody_there), lambda unit: unit, lambda: None)
    with pytest.raises(DatabaseUnavailable) as gone:
        transactions(tenant.org_id, lambda unit: None)
    reported = "".join(traceback.format_exception(gone.value))
    assert "refused" in reported
    assert SECRET not in reported
