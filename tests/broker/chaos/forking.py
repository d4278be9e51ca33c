"""A supervisor whose workers are forks of itself: `python -m tests.broker.chaos.forking '{"modules": [...]}'`.

Two thousand of them die in a storm. A fork has everything loaded but the module of the jobs, so that its death costs
some milliseconds and not half a second; to the supervisor it is a process like any other.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from broker.supervisor.options import SupervisorOptions
from broker.supervisor.supervisor import Supervisor
from broker.supervisor.worker import main as be_one_worker
from tests.broker.chaos import jobs

__all__ = ["jobs"]

_MOST_FDS = 1_024


class Fork:
    """A copy of this process that is one worker."""

    def __init__(self, command: list[str], fds: Sequence[int]) -> None:
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                _forget_the_supervisor(fds)
                code = be_one_worker(command[command.index("one-worker") + 1 :])
            except BaseException:  # noqa: BLE001  # nothing of the supervisor's may run here
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def send_signal(self, sig: int, /) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _forget_the_supervisor(fds: Sequence[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first = 3
    for kept in [*sorted(fds), _MOST_FDS]:
        os.closerange(first, kept)
        first = kept + 1


if __name__ == "__main__":
    numbers: dict[str, Any] = json.loads(sys.argv[1])
    fleet = SupervisorOptions(**{**numbers, "modules": tuple(numbers["modules"])})
    sys.exit(Supervisor(fleet, start=Fork).run())
