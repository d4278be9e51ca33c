"""Tells the outside how a worker process is: a file it rewrites every second, which probes and supervisors read."""

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from middleware import Deadlines, Draining

#: Seconds between two beats.
EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Heartbeat(Middleware):
    """Keeps `<folder>/<process id>.json` from when the worker has booted until it has stopped.

    Written by a Python thread: in a process that is frozen, or in which a job holds the interpreter's lock, the file
    grows old. It says which process that is, so that a reused id is noticed; how many of its threads live; what it
    has in hand, for how long; why it counts as stuck, if it does; and whether it drains.

    A folder that cannot be written to stops nobody; it is logged once.

    Parameters:
        folder: made when missing. Files of processes that are gone are removed by the next worker that boots.
        deadlines: knows what is in hand.
        draining: knows whether the worker stops.
        every_s: seconds between two beats. Default 1.
    """

    def __init__(
        self, folder: Path, *, deadlines: Deadlines, draining: Draining, every_s: float = EVERY_S
    ) -> None:
        self._folder = folder
        self._deadlines = deadlines
        self._draining = draining
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._stopping = threading.Event()
        self._try(self._sweep)
        self._beat(worker)
        self._thread = threading.Thread(
            target=self._run, args=(worker, self._stopping), name="pressroom-heartbeat", daemon=True
        )
        self._thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(self._every_s)
        self._try(lambda: self._file().unlink(missing_ok=True))

    def _run(self, worker: Worker, stopping: threading.Event) -> None:
        while not stopping.wait(self._every_s):
            self._beat(worker)

    def _beat(self, worker: Worker) -> None:
        self._try(lambda: self._write(self._seen(worker)))

    def _seen(self, worker: Worker) -> dict[str, object]:
        from app.process_identity import ProcessIdentity  # late: who only sends needs no psutil

        draining = self._draining.draining
        jobs = self._deadlines.running_jobs()
        stuck = [
            f"message {job.message_id} of {job.actor} is over its time and goes on"
            for job in jobs
            if job.stuck
        ]
        threads = [thread.is_alive() for thread in list(worker.workers)]
        consumers = [thread.is_alive() for thread in list(worker.consumers.values())]
        if not draining:
            # While it drains they end, one by one, as they should.
            dead = {"worker": threads.count(False), "consumer": consumers.count(False)}
            stuck += [f"{count} {kind} threads died" for kind, count in dead.items() if count]
        return {
            **asdict(ProcessIdentity.of(os.getpid())),
            "written_at": datetime.now(UTC).isoformat(),
            "threads": {"alive": threads.count(True), "expected": worker.worker_threads},
            "consumers": {"alive": consumers.count(True), "expected": len(consumers)},
            "jobs": [asdict(job) for job in jobs],
            "stuck": stuck,
            "draining": draining,
        }

    def _write(self, seen: dict[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        half = self._folder / f".{os.getpid()}.half"
        half.write_text(json.dumps(seen))
        half.replace(self._file())

    def _sweep(self) -> None:
        from app.process_identity import ProcessIdentity

        for path in self._folder.glob("*.json"):
            known = ProcessIdentity.read(path)
            if known is None or known.alive() is None:
                path.unlink(missing_ok=True)

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except OSError as error:
            if not self._complained:
                logger.warning(
                    "No heartbeat can be kept in %s (%s); probes will call this worker missing.",
                    self._folder,
                    error.strerror,
                )
            self._complained = True

    def _file(self) -> Path:
        return self._folder / f"{os.getpid()}.json"
