"""Reports how a worker process is: a file it rewrites every second, which probes and supervisors read."""

import json
import logging
import os
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from middleware import Deadlines, Draining
from middleware.base.background import Outage, PeriodicThread

#: Seconds between two beats.
EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Heartbeat(Middleware):
    """Keeps `<folder>/<process id>.json` from when the worker has booted until it has stopped.

    Written by a Python thread: in a process that is frozen, or in which a job holds the interpreter's lock, the file
    grows old. It says which process that is, so that a reused id is noticed; how many of its threads live; what it
    runs, for how long; why it counts as stuck, if it does; and whether it drains.

    A folder that cannot be written to stops nobody; it is logged once, until it can be.

    Parameters:
        folder: made when missing. Files of processes that are gone are removed by the next worker that boots.
        deadlines: knows which jobs run.
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
        self._outage = Outage(
            logger,
            "No heartbeat can be kept in %s (%s); probes will call this worker missing.",
            "The heartbeat in %s is kept again.",
            folder,
            describe=_reason,
        )
        self._thread: PeriodicThread | None = None

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        beat = partial(self._beat, worker)
        self._outage.attempt(self._sweep)
        # Once before the worker counts as booted: whoever started it looks for the file.
        self._outage.attempt(beat)
        self._thread = PeriodicThread("heartbeat", beat, self._every_s, outage=self._outage)
        self._thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if self._thread is not None:
            self._thread.stop(self._every_s)
        self._outage.attempt(lambda: self._file().unlink(missing_ok=True))

    def _beat(self, worker: Worker) -> None:
        self._write(self._seen(worker))

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
        unwell = getattr(worker.broker, "unwell", None)
        if unwell is not None:
            stuck.append(str(unwell))
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

    def _file(self) -> Path:
        return self._folder / f"{os.getpid()}.json"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
