"""The file without a name."""

import os
from pathlib import Path

import pytest

from adapters.exports.spool import Spool
from domain.errors import StorageUnavailable


def test_it_has_no_name_and_vanishes(tmp_path: Path) -> None:
    """Nothing of a spool can be seen in its folder, during or after."""
    with Spool(tmp_path)() as file:
        file.write(b"secret")
        file.flush()
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(file.fileno()).st_nlink == 0
    assert list(tmp_path.iterdir()) == []
    assert file.closed


def test_it_reads_what_was_written(tmp_path: Path) -> None:
    """A spool is written, rewound and read."""
    with Spool(tmp_path)() as file:
        file.write(b"12345")
        file.seek(0)
        assert file.read() == b"12345"


def test_a_full_disk_is_storage_unavailable() -> None:
    """What a disk without room answers is worth another attempt, and says what to do."""
    with pytest.raises(StorageUnavailable, match="No space left"):
        _fill_disk()


def test_a_missing_folder_is_storage_unavailable(tmp_path: Path) -> None:
    """A spool folder that is not there is an operator's to repair, not the job's to die of."""
    with pytest.raises(StorageUnavailable, match="No such file"), Spool(tmp_path / "none")():
        pass


def test_other_errors_pass_through(tmp_path: Path) -> None:
    """What the job itself raises is not the spool's to map."""
    with pytest.raises(ZeroDivisionError), Spool(tmp_path)():
        raise ZeroDivisionError


def _fill_disk() -> None:
    with Spool()() as file, Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), file.fileno(), inheritable=False)
        file.write(b"x" * 100_000)
