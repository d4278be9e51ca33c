"""What a folder of objects needs beside its objects: that only the worker and its group can read, and no remains."""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

#: Folders are for the worker and its group; so are files.
FOLDER_MODE = 0o750
FILE_MODE = 0o640
#: Seconds after which nobody writes to an unfinished file any more.
UNFINISHED_FOR_S = 60 * 60

_OTHERS = stat.S_IRWXO


class PrivateFolder:
    """Keeps the files of a folder from others, and removes what uploads left that died with their process.

    Parameters:
        root: the folder. Its own mode is left as it is, unless it is made.

    Example:
        >>> folder = PrivateFolder(Path("/srv/objects"))
        >>> folder.prepare("exports/7/a.csv")
        >>> folder.finish("exports/7/a.csv")
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def make(self) -> None:
        """Make the folder itself.

        Raises:
            OSError: it cannot be made.
        """
        self._root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    def prepare(self, key: str) -> None:
        """Make the folders that an object needs, before it is written: what is in them is out of reach at once.

        Raises:
            OSError: one cannot be made.
        """
        path = self._path(key)
        if path is None:
            return
        current = self._root
        for segment in path.relative_to(self._root).parts[:-1]:
            current = current / segment
            with suppress(FileExistsError):
                current.mkdir(FOLDER_MODE)
            # Earlier releases made them for everybody.
            _take_from_others(current)
        self.clean(key)

    def finish(self, key: str) -> None:
        """Keep a file that was written from others."""
        path = self._path(key)
        if path is not None:
            with suppress(OSError):
                path.chmod(FILE_MODE)

    def clean(self, key: str) -> None:
        """Remove what uploads of an object left that were cut off an hour ago or longer."""
        path = self._path(key)
        if path is None:
            return
        number = 1
        # The library numbers unfinished files so, and has no objects of such names.
        while (unfinished := path.with_name(f"{path.name}#{number}")).exists():
            with suppress(FileNotFoundError):
                if time.time() - unfinished.stat().st_mtime > UNFINISHED_FOR_S:
                    unfinished.unlink()
            number += 1

    def _path(self, key: str) -> Path | None:
        segments = key.strip("/").split("/")
        # A key that could lead elsewhere is refused by the store, which has words for it.
        is_odd = any(segment in ("", ".", "..") or "\x00" in segment for segment in segments)
        return None if is_odd else self._root.joinpath(*segments)


def _take_from_others(folder: Path) -> None:
    with suppress(OSError):
        found = folder.stat()
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
