"""Beats for a worker from a process of its own, so that a job holding the interpreter's lock is not taken for dead."""

import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import redis

from ..errors import UnsupportedConnection
from .heartbeat_address import Address

#: Seconds between two beats.
EVERY_S = 1.0
#: Seconds for which a live worker process may show no progress before nobody beats for it any more.
STALL_TIMEOUT_S = 120.0

#: Longest wait before a helper that ended by itself is started again, in seconds.
_MAX_WAIT_S = 30.0

_HELPER = Path(__file__).with_name("heartbeat_process.py")
_SCRIPT = Path(__file__).parent.with_name("lua") / "beat.lua"

logger = logging.getLogger(__name__)


class HeartbeatSender:
    """Keeps the beats of one worker going for as long as its process lives and moves.

    A small helper process sends one beat a second. It stops at once when this process ends, whatever ended it, and
    after `stall_timeout_s` in which no Python ran here: in a process that is frozen, or in which a job has held the
    interpreter's lock all that time. When it runs again, so do the beats; a worker that was taken for dead meanwhile
    stays so. Redis away means beats that fail and are tried again with the next.

    Parameters:
        every_s: seconds between two beats. Default 1.
        stall_timeout_s: seconds without progress until the beats stop. Default 120.

    Example:
        >>> heartbeat = HeartbeatSender()
        >>> heartbeat.start(worker_id, "dramatiq:{0}", Address.from_client(client))
        >>> heartbeat.stop()
    """

    def __init__(self, *, every_s: float = EVERY_S, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        if every_s <= 0 or stall_timeout_s <= 0:
            raise ValueError(
                f"every_s and stall_timeout_s must be more than 0, not {every_s}, {stall_timeout_s}"
            )
        self._every_s = every_s
        self._stall_timeout_s = stall_timeout_s
        self._lock = threading.Lock()
        self._greeting = b""
        self._owner_pid = 0
        self._helper: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._wait_s = every_s

    @property
    def helper_pid(self) -> int | None:
        """The process id of the helper; None while there is none."""
        helper = self._helper
        return None if helper is None else helper.pid

    def start(self, worker_id: str, base: str, address: Address) -> None:
        """Start beating.

        Parameters:
            worker_id: as it stands in `<base>:workers`. Until it does, beats do nothing.
            base: key of the shard, with its hash tag.
            address: of the server.

        Raises:
            RuntimeError: it was started and not stopped.
            OSError: no process can be started.
        """
        with self._lock:
            if self._helper is not None:
                raise RuntimeError("The heartbeat was started already; stop it first")
            self._owner_pid = os.getpid()
            greeting = {
                **asdict(address),
                "pid": self._owner_pid,
                "worker_id": worker_id,
                "base": base,
                "script": _SCRIPT.read_text(),
                "every_s": self._every_s,
                "stall_timeout_s": self._stall_timeout_s,
            }
            self._greeting = json.dumps(greeting).encode() + b"\n"
            self._stopping = threading.Event()
            self._helper = self._launch()
            threading.Thread(
                target=self._move, args=(self._stopping,), name="pressroom-progress", daemon=True
            ).start()

    def start_for(self, worker_id: str, base: str, client: "redis.Redis") -> None:
        """Start beating at the server of a client; where the helper cannot connect or start, that is logged."""
        try:
            self.start(worker_id, base, Address.from_client(client))
        except (UnsupportedConnection, OSError, TypeError) as error:
            logger.warning(
                "No helper process beats for this worker (%s); a job that holds the interpreter's lock for "
                "longer than the heartbeat's time-out runs twice.",
                error,
            )

    def stop(self) -> None:
        """End the helper. Does nothing where nothing was started, and in a forked child."""
        if os.getpid() != self._owner_pid:
            return
        with self._lock:
            helper, self._helper = self._helper, None
            self._stopping.set()
            if helper is not None:
                _end(helper)

    def _launch(self) -> "subprocess.Popen[bytes]":
        # `-I -S`: see the helper's own first lines.
        command = [sys.executable, "-I", "-S", str(_HELPER)]
        helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0)
        assert helper.stdin is not None  # noqa: S101  # asked for above
        os.write(helper.stdin.fileno(), self._greeting)
        # A helper that is frozen must not block the thread that shows progress.
        os.set_blocking(helper.stdin.fileno(), False)
        return helper

    def _move(self, stopping: threading.Event) -> None:
        while not stopping.wait(self._wait_s):
            with self._lock:
                if self._helper is not None and not stopping.is_set():
                    self._show_progress(self._helper)

    def _show_progress(self, helper: "subprocess.Popen[bytes]") -> None:
        assert helper.stdin is not None  # noqa: S101  # made with one
        try:
            os.write(helper.stdin.fileno(), b".")
        except BlockingIOError:
            pass
        except OSError:
            self._replace(helper)
        else:
            self._wait_s = self._every_s

    def _replace(self, helper: "subprocess.Popen[bytes]") -> None:
        _end(helper)
        logger.warning(
            "The heartbeat's helper process ended with code %s; another is started.", helper.returncode
        )
        # The one that was started must take a byte before the wait is short again.
        self._wait_s = min(2 * self._wait_s, _MAX_WAIT_S)
        try:
            self._helper = self._launch()
        except OSError as error:
            logger.warning("No helper process can be started for the heartbeat (%s).", error.strerror)


def _end(helper: "subprocess.Popen[bytes]") -> None:
    # It has nothing to lose, and may not even have begun to listen.
    helper.kill()
    if helper.stdin is not None:
        helper.stdin.close()
    helper.wait()
