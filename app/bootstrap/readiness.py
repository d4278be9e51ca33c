"""Tells the outside that a worker process takes jobs: by a file, which probes and supervisors can look for."""

import os
from pathlib import Path

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware


class Readiness(Middleware):
    """Keeps a file named after the process's id in a folder, from when the worker has booted until it stops.

    Parameters:
        folder: made when missing. Files of processes that were killed stay; whoever counts should know its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file().touch()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._file().unlink(missing_ok=True)

    def _file(self) -> Path:
        return self._folder / str(os.getpid())
