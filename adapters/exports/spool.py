"""Where an export is written before it is delivered: a file without a name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from domain.errors import StorageUnavailable


@dataclass(frozen=True)
class Spool:
    """Opens anonymous temporary files.

    A file has no name from the start, so it vanishes when closed and with its process, however that dies.

    Parameters:
        folder: on a disk with room for the largest export; None: the system's folder for temporary files.
            Memory-backed folders make exports cost memory.

    Example:
        >>> with Spool()() as file:
        ...     file.write(b"...")
    """

    folder: Path | None = None

    @contextmanager
    def __call__(self) -> Iterator[BinaryIO]:
        """Open one.

        Raises:
            StorageUnavailable: the disk is full, or the folder cannot be written to.
        """
        try:
            with TemporaryFile(dir=self.folder) as file:
                yield cast("BinaryIO", file)
        except OSError as error:  # every other part maps its own, so this one is the spool's
            raise StorageUnavailable(
                f"the spool in {self.folder or 'the temporary folder'} did not take the export "
                f"({error.strerror}); make room there or point the spool to another folder"
            ) from error
