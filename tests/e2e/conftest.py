"""Fixtures of the tests that run whole platforms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.folders import open_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty home."""
    with open_folder() as made:
        yield made
