"""The doctor: every check looks at the real thing and says the fix."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded import Servers
from app.run import doctor
from app.run.doctor import Finding, examine
from app.settings import load_settings
from tests.databases import Database


@pytest.fixture
def healthy(servers: Servers, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nothing is wrong but the tests' own lack of durability."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.worker_url)
    monkeypatch.setenv("DATABASE_OWNER_URL", database.owner_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", '["' + "k" * 32 + '"]')


def findings() -> dict[str, Finding]:
    """What the doctor sees, by check."""
    return {finding.check: finding for finding in examine(load_settings())}


@pytest.mark.usefixtures("healthy")
def test_a_healthy_platform_has_nothing_broken() -> None:
    """And a server that would lose queued jobs in a restart is a warning."""
    found = findings()

    assert {finding.check for finding in found.values() if finding.verdict == "broken"} == set()
    assert found["redis durability"].verdict == "warning"
    assert found["redis durability"].seen == "no append-only file; no snapshots"
    assert "appendonly" in found["redis durability"].fix


@pytest.mark.usefixtures("healthy")
def test_a_database_that_lacks_migrations_is_reported(
    new_database: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revisions are named, and the command that applies them."""
    monkeypatch.setenv("DATABASE_OWNER_URL", new_database().owner_url)

    found = findings()["migrations"]

    assert found.verdict == "broken"
    assert "0001" in found.seen
    assert found.fix == "run `python -m app migrate`"


@pytest.mark.usefixtures("healthy")
def test_a_worker_above_row_level_security_is_reported(
    servers: Servers, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A superuser's DATABASE_URL would make every org's rows visible."""
    monkeypatch.setenv("DATABASE_URL", database.worker_url.replace("pressroom_worker@", "postgres@"))

    found = findings()["database role"]

    assert found.verdict == "broken"
    assert "NOSUPERUSER NOBYPASSRLS" in found.fix


@pytest.mark.usefixtures("healthy")
def test_a_role_that_may_not_become_the_system_role_is_reported_the_grant(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fix is the statement to run."""
    monkeypatch.setenv("DATABASE_URL", database.worker_url.replace("pressroom_worker@", "stranger@"))
    admin = database.owner_url.replace("pressroom_owner@", "postgres@")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        try:
            found = findings()["database role"]
        finally:
            connection.execute("DROP ROLE stranger")

    assert found.verdict == "broken"
    assert found.fix == "GRANT pressroom_system TO stranger WITH INHERIT FALSE, SET TRUE"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    """A server whose configuration a test may spoil."""
    from app.embedded import running
    from tests.folders import open_folder

    with open_folder() as folder, running(folder, durable=False) as servers:
        yield servers.redis_url


@pytest.mark.usefixtures("healthy")
def test_a_server_that_may_evict_jobs_is_reported(own_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any policy but noeviction is broken, with the command that mends it."""
    monkeypatch.setenv("REDIS_URL", own_redis)
    with redis.Redis.from_url(own_redis) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")

    found = findings()["redis memory policy"]

    assert (found.verdict, found.seen) == ("broken", "allkeys-lru")
    assert "maxmemory-policy noeviction" in found.fix


@pytest.mark.usefixtures("healthy")
def test_how_a_server_keeps_what_it_has_is_reported(own_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, how often that is synced, and its snapshots; of what it does not tell, that it does not."""
    monkeypatch.setenv("REDIS_URL", own_redis)
    with redis.Redis.from_url(own_redis) as client:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        client.config_set("save", "3600 1")
        client.acl_setuser("modest", enabled=True, nopass=True, commands=["+@all", "-config"], keys=["*"])
    reported = findings()["redis durability"]
    monkeypatch.setenv("REDIS_URL", own_redis.replace("unix://", "unix://modest:any@"))
    untold = findings()["redis durability"]

    assert (reported.verdict, reported.seen) == ("ok", "append-only file, synced always; snapshots 3600 1")
    assert (untold.verdict, untold.seen) == ("ok", "append-only file, synced unknown; snapshots unknown")


@pytest.mark.usefixtures("healthy")
def test_clocks_that_are_apart_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases and links depend on them."""
    monkeypatch.setattr(doctor, "MAX_CLOCK_SKEW_S", -1.0)

    found = findings()

    assert found["redis clock"].verdict == found["database clock"].verdict == "broken"
    assert "NTP" in found["redis clock"].fix


@pytest.mark.usefixtures("healthy")
def test_servers_that_do_not_answer_are_reported_without_their_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One server being away does not keep the other checks from being made."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/db")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")

    found = findings()

    assert found["database"].verdict == found["redis"].verdict == "broken"
    assert found["migrations"].verdict == "ok"
    assert "hunter2" not in repr(found)


def test_without_settings_the_doctor_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh clone is told about `up`."""
    monkeypatch.chdir(tmp_path)

    found = findings()

    assert found["database"].fix == found["redis"].fix == "start `python -m app up`, or set it"
    assert found["secret keys"].verdict == "warning"
