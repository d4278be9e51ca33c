"""Fixtures of the tests of worker processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import Servers
from tests.app.run.crash.worker_processes import Stage, staged


@pytest.fixture(params=["fair", "stock"])
def stage(servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """On the server that all tests share: our broker under our supervisor, and Dramatiq's under its own command."""
    with staged(servers.redis_url, tmp_path, fair=request.param == "fair") as made:
        yield made
