"""What every worker process does beside its jobs: a few periodic tasks, in turn, in a thread of its own."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from app.settings import Settings, SettingsError
from middleware import emit_counter
from middleware.base.background import Again, Outage, PeriodicThread

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Seconds between two rounds when there is nothing to do.
EVERY_S = 1.0
#: How long a task that failed backs off: after the first time, then twice as long each time, at most the second.
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
#: How long a worker that ends waits for the task under way, in seconds.
STOP_TIMEOUT_S = 5.0

#: Does what there is to do now, or a part of it; returns whether there may be more.
PeriodicTask = Callable[[], bool]

#: Makes a task in the process that has it. The engine is the tasks' own; the broker is the worker's.
MakePeriodicTask = Callable[["Engine", Broker], PeriodicTask]

logger = logging.getLogger(__name__)


class BackgroundTasks(Middleware):
    """Runs the platform's periodic tasks in every worker process, from its boot until its last job is done.

    Any number of workers run the same tasks at once, so a task locks what it works on. Each is run every second, and
    at once after `wake`. One that fails backs off on its own: 1 s, then twice as long each time up to 30 s, with
    jitter. `worker_duty_failed_total` counts by task.

    Parameters:
        settings: say where the database is.
        tasks: how to make each, by name. A maker is called in the worker process, so that a process that only
            sends loads no database library.
        every_s: seconds between two rounds when there is nothing to do. Default 1.

    Example:
        >>> BackgroundTasks(settings, {"outbox": relay_outbox})
    """

    def __init__(
        self, settings: Settings, tasks: Mapping[str, MakePeriodicTask], *, every_s: float = EVERY_S
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._every_s = every_s
        self._threads: dict[int, tuple[PeriodicTaskThread, Engine]] = {}

    def wake(self) -> None:
        """Have the tasks of this process run at once; nothing in a process without a worker."""
        for thread, _ in list(self._threads.values()):
            thread.wake()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        engine = _engine(self._settings)
        tasks = {name: make(engine, broker) for name, make in self._tasks.items()}
        thread = PeriodicTaskThread(tasks, every_s=self._every_s)
        self._threads[id(worker)] = thread, engine
        thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # After, not before: jobs that end meanwhile still commit what the outbox has to send.
        thread, engine = self._threads.pop(id(worker), (None, None))
        if thread is not None and engine is not None:
            thread.stop(STOP_TIMEOUT_S)
            engine.dispose()


class PeriodicTaskThread:
    """Runs tasks in turn, each as soon as it is due, until it is stopped.

    Parameters:
        tasks: by name.
        every_s: seconds between two rounds when there is nothing to do. Default 1.
        uniform: draws a number between two. Default `random.uniform`.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.
    """

    def __init__(
        self,
        tasks: Mapping[str, PeriodicTask],
        *,
        every_s: float = EVERY_S,
        uniform: Callable[[float, float], float] = random.uniform,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_s = every_s
        self._uniform = uniform
        self._clock_s = clock_s
        self._tasks = [_Task(name, run) for name, run in tasks.items()]
        self._thread = PeriodicThread("duties", self._step, every_s, at_once=True, last_run=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Run what is due at once, and again when a round is under way that may have been too early.

        A task that backs off goes on doing so.
        """
        self._thread.wake()

    def stop(self, timeout_s: float) -> None:
        """Run what is due once more and end; what hangs is left behind.

        Parameters:
            timeout_s: how long to wait for that, in seconds.
        """
        self._thread.stop(timeout_s)

    def run_due(self) -> bool:
        """Run every task once that does not back off, and return whether there may be more of any."""
        more = [self._run(task) for task in self._tasks if task.due_s <= self._clock_s()]
        return any(more)

    def _step(self) -> Again:
        if self.run_due():
            return Again()
        backing_off_s = [left_s for task in self._tasks if (left_s := task.due_s - self._clock_s()) > 0]
        return Again(after_s=min([self._every_s, *backing_off_s]))

    def _run(self, task: "_Task") -> bool:
        try:
            more = task.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next try may work and the others go on
            emit_counter("worker_duty_failed_total", {"duty": task.name})
            task.outage.failed(error)
            ceiling_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(task.outage.failures - 1, 30))
            # At least half: the fleet's relays must not all come back to a broker in the same moment, nor at once.
            task.due_s = self._clock_s() + self._uniform(ceiling_s / 2, ceiling_s)
            return False
        task.outage.succeeded()
        return more


class _Task:
    def __init__(self, name: str, run: PeriodicTask) -> None:
        self.name = name
        self.run = run
        #: By the thread's clock; later than now only while it backs off.
        self.due_s = 0.0
        self.outage = Outage(
            logger,
            "Duty %s failed %s; it is tried again until it works.",
            "Duty %s works again.",
            name,
            describe=lambda error: f"({type(error).__name__}): {error}",
        )


def _engine(settings: Settings) -> "Engine":
    from adapters.database.engine import create_engine

    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    # The thread does one thing at a time; the other connection replaces one that went stale.
    return create_engine(settings.database_url.get_secret_value(), pool_size=1, max_overflow=1)
