"""Folders for tests that start servers."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may enter, unlike pytest's own, gone afterwards.

    As root, PostgreSQL runs as an unprivileged user, and data in a closed folder would go elsewhere.
    """
    folder = Path(tempfile.mkdtemp(prefix="pressroom-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
