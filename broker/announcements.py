"""What a worker process announces to the supervisor that started it: that it is ready, who it is, what it needs.

One line of JSON each, on a pipe that the supervisor reads. In a process that nobody supervises nothing is announced.
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
    """Write announcements to a pipe from now on. Processes that jobs start do not inherit it."""
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    _Channel.fd = fd


def announce_ready() -> None:
    """Announce that the worker has booted; where there is one, its predecessor may go."""
    _announce({"ready": True})


def announce_worker_id(worker_id: str) -> None:
    """Announce who this process is to the broker, so that its death can be reported there.

    Example:
        >>> announce_worker_id(worker_id)  # before the first fetch
    """
    _announce({"worker_id": worker_id})


def announce_max_jobs_reached() -> None:
    """Announce that this process has run as many jobs as it may, and needs a successor."""
    _announce({"spent": True})


def announce_suspects() -> None:
    """Announce messages that may kill whoever runs them: a probe is needed. Once a second, however often it is called.

    Example:
        >>> announce_suspects()  # at each fetch that found some
    """
    now_s = time.monotonic()
    if now_s >= _Channel.suspects_at_s:
        _Channel.suspects_at_s = now_s + _AGAIN_S
        _announce({"suspects": True})


def announce_began() -> None:
    """Announce that a message begins in this probe; if the process dies now, the message is why."""
    _announce({"began": True})


def announce_idle() -> None:
    """Announce that this probe ends, since nothing is left to be run alone."""
    _announce({"idle": True})


def announce_stopping() -> None:
    """Announce that this process was asked to stop, by whomever; what it runs is not to blame for its end."""
    _announce({"stopping": True})


def announce_reported(worker_id: str) -> None:
    """Announce that the broker knows of another worker's death."""
    _announce({"reported": worker_id})


def _announce(announced: dict[str, object]) -> None:
    if _Channel.fd is not None:
        # A supervisor that is gone, or that does not read, must not hurt a job.
        with suppress(OSError):
            os.write(_Channel.fd, json.dumps(announced).encode() + b"\n")
