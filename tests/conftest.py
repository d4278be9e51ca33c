"""What every test may ask for: real servers, fresh databases, and an environment that says nothing."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from app.embedded import Servers, postgres, running
from app.settings import is_setting, variable
from tests.databases import Database
from tests.redis_server import other_server
from tests.tenants import engine, new_tenant, tenant
from tests.turns import scheduler, turn

__all__ = ["engine", "new_tenant", "tenant"]

ROOT = Path(__file__).resolve().parent.parent

#: Folders of tests whose modules are slow, all of them.
SLOW_FOLDERS = {"adapters", "crash", "e2e", "embedded", "migrations", "mission"}

#: Modules that are slow in whichever folder they lie: suites of stores, outages, killed processes.
SLOW_MODULES = ("_stores", "_outage", "_spool", "_crash", "_stuck_process")


def pytest_configure() -> None:
    # What the developer's shell says must not decide a test.
    for name in list(os.environ):
        if is_setting(name):
            del os.environ[name]
    program = other_server()
    if program is not None:  # for the platforms that tests start
        os.environ[variable("redis_server")] = str(program)
    # Nor how much else the machine has to do: no example is failed by the clock.
    settings.register_profile("pressroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("pressroom")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # What `make check` leaves out by its folder need not even be imported, by each of its processes.
    unwanted = "not slow" in config.option.markexpr and collection_path.name in SLOW_FOLDERS
    return True if unwanted and collection_path.is_relative_to(ROOT / "tests") else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return scheduler(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # What is collected stays. To look through it for garbage, time and again, costs collecting a sixth of its time, and
    # a test that makes many objects twice or four times its own.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # `make check` has a minute for everything: it asks each guard on the stub broker alone, and leaves what takes
    # servers to `make test`.
    for item in items:
        place = item.path.relative_to(ROOT / "tests")
        on_redis = "redis" in [each for each in _parameters(item) if isinstance(each, str)]
        on_servers = "servers" in getattr(item, "fixturenames", ())
        if SLOW_FOLDERS & set(place.parts) or place.stem.endswith(SLOW_MODULES) or on_redis or on_servers:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: turn(item.nodeid))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Valkey, or the server that is named in its place, shared by all test processes, not crash-safe."""
    program = other_server()
    # Its own folder: who finds a server there uses it, whatever it is.
    folder = "test" if program is None else "test-other"
    with running(ROOT / ".pressroom" / folder, durable=False, redis_server=program) as up:
        yield up


@pytest.fixture(scope="session")
def new_database(servers: Servers) -> Iterator[Callable[[], Database]]:
    """Makes empty databases that are gone after the session."""
    with ExitStack() as cleaning:

        def make() -> Database:
            name = f"test_{uuid4().hex}"
            servers.create_database(name)
            cleaning.callback(_drop, servers, name)
            return Database(servers.database_owner_url(name), servers.database_url(name))

        yield make


@pytest.fixture(scope="session")
def database(new_database: Callable[[], Database]) -> Database:
    """A migrated database; tests keep apart by using orgs of their own."""
    from adapters.database.migrate import upgrade

    fresh = new_database()
    upgrade(fresh.owner_url)
    return fresh


def _parameters(item: pytest.Item) -> list[object]:
    callspec = getattr(item, "callspec", None)
    return list(callspec.params.values()) if callspec else []


def _drop(servers: Servers, name: str) -> None:
    # As the superuser: only it may end sessions of every role.
    administrator = postgres.url(servers.folders, postgres.SUPERUSER, postgres.SUPERUSER)
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
