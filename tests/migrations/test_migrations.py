"""The revisions: up, down, up again, two at once, and the same as the tables in the code."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from adapters.database.engine import psycopg_url
from adapters.database.migrate import LOCK_KEY, downgrade, pending, upgrade
from adapters.database.tables import metadata
from app.embedded import Servers, postgres, running
from domain.errors import DatabaseUnavailable, InvalidInput
from tests.databases import Database

NewDatabase = Callable[[], Database]

#: Everything of ours that a database can hold, but what Alembic keeps for itself.
OBJECTS = """
    SELECT relkind::text, relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT 'column', relname || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
        AND relname <> 'alembic_version'
    UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'policy', polname::text FROM pg_policy
    UNION ALL SELECT 'grant', grantee || ' on ' || table_name FROM information_schema.role_table_grants
    WHERE table_schema = 'public' AND grantee <> current_user
"""
#: How PostgreSQL itself describes columns, constraints and indexes.
DESCRIPTION = """
    SELECT 'column', attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod) || ' '
        || attnotnull || ' ' || attgenerated::text || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
        AND relname <> 'alembic_version'
    UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND
        conrelid IS DISTINCT FROM to_regclass('alembic_version')
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ORDER BY 1, 2
"""


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Servers]:
    """A cluster of its own, without our roles."""
    with running(tmp_path, durable=False) as servers:
        with psycopg.connect(_superuser_url(servers), autocommit=True) as superuser:
            superuser.execute("DROP ROLE pressroom_worker, pressroom_system")
        yield servers


def test_down_leaves_nothing_and_up_works_again(new_database: NewDatabase) -> None:
    """Downgrading to the base removes every object, policy and grant, and upgrading again brings the same back."""
    owner_url = new_database().owner_url
    upgrade(owner_url)
    before = _rows(owner_url, OBJECTS)
    downgrade(owner_url, "base")
    assert _rows(owner_url, OBJECTS) == set()
    upgrade(owner_url)
    assert _rows(owner_url, OBJECTS) == before


def test_every_revision_takes_back_what_it_did(new_database: NewDatabase) -> None:
    """Each revision alone, down after up, leaves the database as it was."""
    owner_url = new_database().owner_url
    for revision in pending(owner_url):
        before = _rows(owner_url, OBJECTS)
        upgrade(owner_url, revision)
        assert _rows(owner_url, OBJECTS) != before
        downgrade(owner_url, "-1")
        assert _rows(owner_url, OBJECTS) == before, revision
        upgrade(owner_url, revision)


def test_pending_lists_what_is_left(new_database: NewDatabase, capfd: pytest.CaptureFixture[str]) -> None:
    """`pending` names the revisions that are not applied, oldest first, to either role; nothing is printed."""
    database = new_database()
    every = pending(database.owner_url)
    assert [name[:4] for name in every] == [f"{number:04}" for number in range(1, len(every) + 1)]
    upgrade(database.owner_url, every[2])
    assert pending(database.owner_url) == every[3:]
    upgrade(database.owner_url)
    assert pending(database.owner_url) == pending(database.worker_url) == []
    assert capfd.readouterr() == ("", "")


def test_many_at_once_do_it_once(new_database: NewDatabase) -> None:
    """Any number of upgrades at the same time all succeed, in threads and processes, of one database and of two."""
    urls = [new_database().owner_url for _ in range(2)]
    with (
        ThreadPoolExecutor(4) as threads,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes,
    ):
        for done in [
            each.submit(upgrade, url) for url in urls for each in (threads, processes) for _ in range(2)
        ]:
            done.result()
    assert [pending(url) for url in urls] == [[], []]


def test_a_revision_that_fails_leaves_nothing_behind(new_database: NewDatabase) -> None:
    """An upgrade is all or nothing: what stood before a failing revision is not kept."""
    owner_url = new_database().owner_url
    with psycopg.connect(owner_url) as connection:
        connection.execute("CREATE TABLE audit_log ()")
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="audit_log"):
        upgrade(owner_url)
    assert _rows(owner_url, OBJECTS) == {("r", "audit_log")}


def test_migrations_and_tables_agree(database: Database) -> None:
    """Alembic finds no difference between a migrated database and the metadata."""
    engine = sqlalchemy.create_engine(psycopg_url(database.owner_url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_and_tables_agree_to_the_letter(database: Database, new_database: NewDatabase) -> None:
    """PostgreSQL describes every column, constraint and index of both alike, also what Alembic does not compare."""
    created = new_database().owner_url
    engine = sqlalchemy.create_engine(psycopg_url(created), poolclass=sqlalchemy.NullPool)
    metadata.create_all(engine)
    assert _rows(database.owner_url, DESCRIPTION) == _rows(created, DESCRIPTION)


def test_upgrades_wait_for_each_other(new_database: NewDatabase) -> None:
    """While somebody migrates a database, whatever the process, another upgrade has not begun."""
    url = new_database().owner_url
    waits = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = {})"
    )
    mine = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    with psycopg.connect(url, autocommit=True) as other, ThreadPoolExecutor(1) as thread:
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        upgraded = thread.submit(upgrade, url)
        _until(other, waits.format(mine), upgraded)
        assert _rows(url, OBJECTS) == set()
        other.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
        upgraded.result()
    assert pending(url) == []


def test_missing_roles_are_made(bare: Servers) -> None:
    """On a cluster without our roles a migration makes them: a worker that is held, a system role to take."""
    upgrade(bare.database_owner_url())
    with psycopg.connect(bare.database_url()) as worker:
        worker.execute("SELECT count(*) FROM content_items")
        worker.execute("SET ROLE pressroom_system")


@pytest.mark.parametrize(
    ("there", "coming"),
    [
        ("SELECT 1", "CREATE ROLE pressroom_worker LOGIN"),
        ("CREATE ROLE pressroom_worker LOGIN", "CREATE ROLE pressroom_system"),
    ],
)
def test_roles_made_in_the_same_moment_will_do(bare: Servers, there: str, coming: str) -> None:
    """When the migration of another database makes a role first, this one goes on with it."""
    url = bare.database_owner_url()
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)"
    with (
        psycopg.connect(url, autocommit=True) as watching,
        psycopg.connect(url) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        watching.execute(there)
        other.execute(coming)
        upgraded = thread.submit(upgrade, url)
        _until(watching, waits, upgraded)
        other.commit()
        upgraded.result()
    assert pending(url) == []


def test_a_worker_that_inherits_is_refused(bare: Servers) -> None:
    """A worker role that row-level security would not hold is refused, and the message says how to mend it."""
    with psycopg.connect(_superuser_url(bare), autocommit=True) as superuser:
        superuser.execute("CREATE ROLE pressroom_worker LOGIN")
        superuser.execute("CREATE ROLE pressroom_system")
        superuser.execute("GRANT pressroom_system TO pressroom_worker WITH INHERIT TRUE")
    with pytest.raises(InvalidInput, match=r"row-level security; to mend it: .*INHERIT FALSE"):
        upgrade(bare.database_owner_url())


@pytest.mark.parametrize("move", [upgrade, lambda url: downgrade(url, "base"), pending])
def test_a_server_that_is_away(tmp_path: Path, move: Callable[[str], object]) -> None:
    """A server that cannot be reached is a database error that says what to check."""
    with pytest.raises(DatabaseUnavailable, match="DATABASE_OWNER_URL"):
        move(f"postgresql://pressroom_owner@/pressroom?host={tmp_path}")


def test_a_revision_that_is_not_known(new_database: NewDatabase) -> None:
    """A database that a newer build has migrated is told apart from one that is behind."""
    database = new_database()
    upgrade(database.owner_url)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    with pytest.raises(InvalidInput, match="newer build"):
        pending(database.owner_url)


def _rows(url: str, query: str) -> set[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query))


def _until(connection: psycopg.Connection, query: str, running: Future[None]) -> None:
    """Returns when the query says so; fails when what should wait does not."""
    while connection.execute(query).fetchone() != (True,):
        assert not running.done(), running.result()


def _superuser_url(servers: Servers) -> str:
    return postgres.url(servers.folders, postgres.SUPERUSER, postgres.SUPERUSER)
