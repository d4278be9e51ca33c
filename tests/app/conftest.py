"""What tests of commands ask for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.embedded import Servers
from tests.app.cli.commands import Commands
from tests.databases import Database
from tests.tenants import Tenant


@pytest.fixture
def commands(
    servers: Servers,
    database: Database,
    engine: Engine,
    new_tenant: Callable[[], Tenant],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Commands:
    """The command line of the control API, with two orgs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.worker_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    return Commands(engine, new_tenant().org_id, new_tenant().org_id)
