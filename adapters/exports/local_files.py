"""Exports to the worker's own file system, each org below a folder of its own.

Every step down the path is taken from the folder before it, by descriptor and without following links. So what
was checked is what is written to, whoever swaps folders and links meanwhile.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO
from uuid import UUID

from domain.domain_export import Format
from domain.errors import StorageUnavailable, UnsafePath
from domain.export_paths import safe_segments

from .ownership import written_by

#: Bytes copied at once.
CHUNK_BYTES = 1 << 20
#: Folders are for the worker and its group; so are files.
FOLDER_MODE = 0o750
FILE_MODE = 0o640

# What opening a link, or a file as a folder, is answered with.
_LEADS_ELSEWHERE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.EISDIR})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class LocalFiles:
    """Writes files below `base_dir/<org_id>/`.

    A file appears complete or not at all: it is written beside its place under a hidden name, synced, and
    renamed. Folders on the way are made and stay.

    Parameters:
        base_dir: made when missing. It may be a link itself; nothing below it may.

    Example:
        >>> LocalFiles(Path("/srv/exports")).deliver(export_id, org_id, "2026/site.csv", file)
        '01890a5d-ac96-774b-bcce-b302099a8057/2026/site.csv'
    """

    base_dir: Path

    def check(self, org_id: UUID, path: str) -> None:
        """Refuse a path that leaves the org's folder; nothing is made.

        Raises:
            UnsafePath: by its words, or by a link or file on its way.
        """
        *folders, name = safe_segments(path)
        try:
            with self._folder(org_id, folders, make=False) as folder:
                _refuse_odd_target(folder, name, path)
        except FileNotFoundError:
            return  # what is not there yet cannot lead elsewhere
        except OSError as error:
            raise _mapped(error, path) from error

    def deliver(self, export_id: UUID, org_id: UUID, path: str, source: BinaryIO) -> str:
        """Write the file and say where, relative to `base_dir`. A file of the same name is replaced.

        Raises:
            UnsafePath: as `check`.
            StorageUnavailable: the file system did not take it; the name means what it meant before.
        """
        *folders, name = safe_segments(path)
        try:
            with self._folder(org_id, folders, make=True) as folder:
                _refuse_odd_target(folder, name, path)
                _remove_unfinished(folder, export_id)
                _write(folder, name, f"{_unfinished(export_id)}{secrets.token_hex(8)}", source)
        except OSError as error:
            raise _mapped(error, path) from error
        return f"{org_id}/{path}"

    def discard(self, export_id: UUID, org_id: UUID, path: str, kind: Format) -> None:
        """Remove what this export wrote; a file that anybody else wrote under the name stays."""
        *folders, name = safe_segments(path)
        try:
            with self._folder(org_id, folders, make=False) as folder:
                _remove_unfinished(folder, export_id)
                if _is_ours(folder, name, export_id, kind):
                    os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _mapped(error, path) from error

    @contextmanager
    def _folder(self, org_id: UUID, folders: list[str], *, make: bool) -> Iterator[int]:
        """The descriptor of the folder the file belongs in."""
        if make:
            self.base_dir.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        current = os.open(self.base_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for segment in (str(org_id), *folders):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(segment, FOLDER_MODE, dir_fd=current)
                        os.fsync(current)
                below = os.open(segment, _FOLDER, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


def _write(folder: int, name: str, unfinished: str, source: BinaryIO) -> None:
    try:
        with os.fdopen(os.open(unfinished, _NEW_FILE, FILE_MODE, dir_fd=folder), "wb") as file:
            copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise
    os.fsync(folder)


def _refuse_odd_target(folder: int, name: str, path: str) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UnsafePath(f"{path!r} is there and is no plain file; choose another name")


def _unfinished(export_id: UUID) -> str:
    # Hidden, and so a name that no export can ask for.
    return f".{export_id}."


def _remove_unfinished(folder: int, export_id: UUID) -> None:
    """Remove what attempts at this export that died with their process left."""
    for name in os.listdir(folder):
        if name.startswith(_unfinished(export_id)):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _is_ours(folder: int, name: str, export_id: UUID, kind: Format) -> bool:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    with os.fdopen(os.open(name, _OLD_FILE, dir_fd=folder), "rb") as file:
        return written_by(file, kind, export_id)


def _mapped(error: OSError, path: str) -> StorageUnavailable | UnsafePath:
    if error.errno in _LEADS_ELSEWHERE:
        return UnsafePath(f"{path!r} leads through a link or a file; choose folders of the org's own")
    return StorageUnavailable(
        f"{path!r} was not written ({error.strerror}); check that PRESSROOM_EXPORT_BASE_DIR of the worker is "
        "writable and has room"
    )
