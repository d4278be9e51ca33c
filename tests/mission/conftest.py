"""The platform that the rows are shown on."""

import os
from collections.abc import Iterator

import pytest

from .platform import Org, Platform
from .shared_up import shared_up


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running `python -m app up`, one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    # A test process of several has a folder of its own in the folder of the run.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with shared_up(run / "mission") as environment:
        platform = Platform(environment)
        yield platform
        platform.close()


@pytest.fixture
def org(platform: Platform) -> Org:
    """An org of the test's own."""
    return platform.new_org()
