"""Naming a process so that a reused process id is never mistaken for it."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process id together with the moment the process was born."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of a process that runs now.

        Raises:
            psutil.NoSuchProcess: it does not.
        """
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """An identity that was written down; None when the file is missing or damaged."""
        try:
            known = json.loads(path.read_text())
            return cls(pid=known["pid"], created=known["created"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the identity down."""
        path.unlink(missing_ok=True)
        path.write_text(json.dumps(asdict(self)))

    def alive(self) -> psutil.Process | None:
        """The process, if it still is the same one and has not ended."""
        try:
            process = psutil.Process(self.pid)
            if process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.NoSuchProcess:
            pass
        return None


def wait_gone(identities: Sequence[ProcessIdentity], timeout_s: float) -> list[psutil.Process]:
    """Wait until processes have ended, whoever's children they are; those that have not by then.

    A process that has ended and that its parent has not collected counts as ended: in a container the first
    process may never collect the orphans it inherits.
    """
    deadline = time.monotonic() + timeout_s
    while alive := [process for identity in identities if (process := identity.alive())]:
        if time.monotonic() > deadline:
            break
        for process in alive:
            with suppress(ChildProcessError):  # not ours to collect
                os.waitpid(process.pid, os.WNOHANG)
        time.sleep(_POLL_S)
    return alive
