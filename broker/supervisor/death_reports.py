"""How a broker learns why a worker died: the supervisor saw it but has no connection, its workers have one.

It writes each death into a pipe of every worker that is ready; the first that has reported it announces that. In a
process that nobody supervises nothing comes.
"""

import json
import logging
import os
import threading
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

from dramatiq.errors import BrokerError

from ..announcements import announce_reported

#: Seconds until a report to a broker that was away is repeated.
_RETRY_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Death:
    """How one worker process ended.

    Parameters:
        worker_id: who it was to the broker.
        code: its exit code, or the negative number of the signal that ended it.
        stopped: it had been asked to end; what it ran is not to blame.
    """

    worker_id: str
    code: int
    stopped: bool

    def row(self) -> bytes:
        """The death as it goes through the pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"


@runtime_checkable
class Probed(Protocol):
    """A broker that can run by themselves those messages which may have killed workers."""

    #: Take nothing but suspects, one at a time.
    probe_only: bool
    #: Announce suspects instead of running them.
    probe_elsewhere: bool

    def report_death(self, worker_id: str, code: int | None, *, stopped: bool) -> None:
        """Take back at once what that worker had leased, and blame it unless the worker was stopped."""


def report_from(fd: int, broker: object) -> None:
    """EmitEvent the broker of each death that comes through this pipe, on a thread of its own."""
    os.set_inheritable(fd, False)
    threading.Thread(target=_run, args=(fd, broker), name="pressroom-deaths", daemon=True).start()


def _run(fd: int, broker: object) -> None:
    rest = b""
    while read := os.read(fd, 65_536):
        *lines, rest = (rest + read).split(b"\n")
        for row in lines:
            death = Death(**json.loads(row))
            _report(death, broker)
            announce_reported(death.worker_id)


def _report(death: Death, broker: object) -> None:
    nobody = threading.Event()
    while isinstance(broker, Probed):
        try:
            broker.report_death(death.worker_id, death.code, stopped=death.stopped)
        except BrokerError as error:
            logger.warning("A dead worker cannot be reported to the broker (%s); it is tried again.", error)
            nobody.wait(_RETRY_S)
        except Exception:
            logger.exception("The broker failed when a dead worker was reported.")
            return
        else:
            return
