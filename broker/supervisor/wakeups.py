"""Lets one thread wait for signals, ended children and what children announce, all at once."""

import os
import selectors
import signal
from collections.abc import Iterator, Set
from contextlib import contextmanager
from types import FrameType

#: What operators send.
_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wakeups:
    """Whatever may end a wait."""

    def __init__(self) -> None:
        self._requests: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._read_fd, self._write_fd = os.pipe()
        for fd in (self._read_fd, self._write_fd):
            os.set_blocking(fd, False)
        self._selector.register(self._read_fd, selectors.EVENT_READ)

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Note signals, which end a wait, instead of ending the process. On the main thread only.

        Afterwards they are ignored: one that comes late must not change the code with which the process ends.
        """
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        try:
            for number in (*_REQUESTS, signal.SIGCHLD):
                signal.signal(number, self._note)
            yield
        finally:
            for number in _REQUESTS:
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            self._selector.close()
            os.close(self._read_fd)
            os.close(self._write_fd)

    def requests(self) -> list[int]:
        """The signals that operators sent since the last call, in order."""
        taken, self._requests = self._requests, []
        return taken

    def watch(self, fd: int) -> None:
        """End a wait when there is something to read from a file descriptor."""
        self._selector.register(fd, selectors.EVENT_READ)

    def unwatch(self, fd: int) -> None:
        """Stop watching a file descriptor; no effect when it is not watched."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def wait(self, timeout_s: float) -> None:
        """Block until anything happens, or so many seconds are over."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if key.fd == self._read_fd:
                os.read(self._read_fd, 4_096)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in _REQUESTS:
            self._requests.append(number)


def reap_orphans(own_pids: Set[int]) -> None:
    """Collect children that have ended and that nobody else waits for; those would stay as zombies for ever.

    Parameters:
        own_pids: children whose exit codes somebody wants; they are left alone.
    """
    while True:
        try:
            # Not collected yet: a plain wait would take an exit code away from whoever started that child.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own_pids:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
