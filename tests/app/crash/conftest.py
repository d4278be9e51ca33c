"""Fixtures of the tests of worker processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import Servers
from tests.app.crash.stage import Stage, staged


@pytest.fixture
def stage(servers: Servers, tmp_path: Path) -> Iterator[Stage]:
    """On the server that all tests share."""
    with staged(servers.redis_url, tmp_path) as made:
        yield made
