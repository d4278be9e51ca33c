"""What a worker process tells the supervisor that started it: that it is ready, who it is, that it has done its share.

One line of JSON each, on a pipe that the supervisor reads. In a process that nobody supervises nothing is told.
"""

import json
import os
from contextlib import suppress


class _Channel:
    fd: int | None = None


def announce_to(fd: int) -> None:
    """Tell it there from now on. Processes that jobs start do not inherit the pipe."""
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    _Channel.fd = fd


def announce_ready() -> None:
    """The worker has booted; where there is one, its predecessor may go."""
    _announce({"ready": True})


def announce_worker_id(worker_id: str) -> None:
    """Who this process is to the broker, so that its death can be told from others' there.

    Example:
        >>> announce_worker_id(worker_id)  # before the first fetch
    """
    _announce({"worker_id": worker_id})


def announce_spent() -> None:
    """This process has done as many jobs as it may, and asks for a successor."""
    _announce({"spent": True})


def _announce(told: dict[str, object]) -> None:
    if _Channel.fd is not None:
        # A supervisor that is gone, or that does not read, must not hurt a job.
        with suppress(OSError):
            os.write(_Channel.fd, json.dumps(told).encode() + b"\n")
