"""A server that a test may stop and start, since nobody else uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.embedded import valkey
from app.embedded.folders import ServerFolders, find_server_folders
from tests.folders import open_folder
from tests.redis_server import other_server


class OwnValkey:
    """A Valkey server of the test's own, empty after each start."""

    def __init__(self, folders: ServerFolders) -> None:
        self._folders = folders
        self.url = valkey.url(folders)
        self.start()

    def start(self) -> None:
        """Come up, at the same address as before."""
        valkey.ensure_running(self._folders, durable=False, program=other_server())

    def stop(self) -> None:
        """Go away; connections are refused from now on."""
        valkey.stop(self._folders)


@contextmanager
def own_valkey() -> Iterator[OwnValkey]:
    """A server, stopped and gone after the test."""
    with open_folder() as folder:
        server = OwnValkey(find_server_folders(folder))
        try:
            yield server
        finally:
            server.stop()
