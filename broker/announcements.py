"""What a worker process tells the supervisor that started it: that it is ready, who it is, what it wants of it.

One line of JSON each, on a pipe that the supervisor reads. In a process that nobody supervises nothing is told.
"""

import json
import os
import time
from contextlib import suppress

#: Seconds between two announcements of suspects.
_AGAIN_S = 1.0


class _Channel:
    fd: int | None = None
    suspects_at_s = 0.0


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


def announce_suspects() -> None:
    """Messages wait that may kill whoever runs them: a probe is wanted. Said once a second, however often it is called.

    Example:
        >>> announce_suspects()  # at each fetch that was told so
    """
    now_s = time.monotonic()
    if now_s >= _Channel.suspects_at_s:
        _Channel.suspects_at_s = now_s + _AGAIN_S
        _announce({"suspects": True})


def announce_began() -> None:
    """A message begins in this probe; if the process dies now, the message is why."""
    _announce({"began": True})


def announce_idle() -> None:
    """This probe ends, since nothing is left to be run alone."""
    _announce({"idle": True})


def announce_stopping() -> None:
    """This process was told to stop, by whomever; what it has in hand is not to blame for its end."""
    _announce({"stopping": True})


def announce_reported(worker_id: str) -> None:
    """The broker knows of this worker's death."""
    _announce({"reported": worker_id})


def _announce(announced: dict[str, object]) -> None:
    if _Channel.fd is not None:
        # A supervisor that is gone, or that does not read, must not hurt a job.
        with suppress(OSError):
            os.write(_Channel.fd, json.dumps(announced).encode() + b"\n")
