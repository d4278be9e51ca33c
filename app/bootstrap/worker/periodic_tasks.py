"""What every worker process does beside its jobs: a few duties, in turn, in a thread of its own."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from app.settings import Settings, SettingsError
from middleware import emit_counter

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Seconds between two looks when there is nothing to do.
EVERY_S = 1.0
#: How long a duty that failed rests: after the first time, then twice as long each time, at most the second.
FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
#: How long a worker that ends waits for the duty under way, in seconds.
STOP_TIMEOUT_S = 5.0

#: Does what there is to do now, or a part of it; whether there may be more.
PeriodicTask = Callable[[], bool]

#: Makes a duty in the process that has it. The engine is the duties' own; the broker is the worker's.
MakeDuty = Callable[["Engine", Broker], PeriodicTask]

logger = logging.getLogger(__name__)


class BackgroundTasks(Middleware):
    """Does the platform's duties in every worker process, from its boot until its last job is done.

    Any number of workers have the same duties at once, so a duty locks what it takes in hand. Each is done every
    second, and at once after `poke`. One that fails rests on its own: 1 s, then twice as long each time up to 30 s,
    with jitter. `worker_duty_failed_total` counts by duty.

    Parameters:
        settings: say where the database is.
        duties: how to make each, by name. A maker is called in the worker process, so that a process that only
            sends loads no database library.
        every_s: seconds between two looks when there is nothing to do. Default 1.

    Example:
        >>> BackgroundTasks(settings, {"outbox": relay_outbox})
    """

    def __init__(
        self, settings: Settings, duties: Mapping[str, MakeDuty], *, every_s: float = EVERY_S
    ) -> None:
        self._settings = settings
        self._duties = duties
        self._every_s = every_s
        self._threads: dict[int, tuple[PeriodicTaskThread, Engine]] = {}

    def poke(self) -> None:
        """Have the duties of this process done at once; nothing in a process without a worker."""
        for thread, _ in list(self._threads.values()):
            thread.poke()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        engine = _engine(self._settings)
        duties = {name: make(engine, broker) for name, make in self._duties.items()}
        thread = PeriodicTaskThread(duties, every_s=self._every_s)
        self._threads[id(worker)] = thread, engine
        thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # After, not before: jobs that end meanwhile still commit what the outbox has to send.
        thread, engine = self._threads.pop(id(worker), (None, None))
        if thread is not None and engine is not None:
            thread.stop(STOP_TIMEOUT_S)
            engine.dispose()


class PeriodicTaskThread:
    """Does duties in turn, each as soon as it is due, until it is stopped.

    Parameters:
        duties: by name.
        every_s: seconds between two looks when there is nothing to do. Default 1.
        uniform: draws a number between two. Default `random.uniform`.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.
    """

    def __init__(
        self,
        duties: Mapping[str, PeriodicTask],
        *,
        every_s: float = EVERY_S,
        uniform: Callable[[float, float], float] = random.uniform,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duties = duties
        self._every_s = every_s
        self._uniform = uniform
        self._clock_s = clock_s
        self._rested_at_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pressroom-duties", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def poke(self) -> None:
        """Look at once, also when a look is under way that may have been too early. What rests goes on resting."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Look once more and end; what hangs is left behind."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.error("Duties did not end within %.1f s; they are left behind.", timeout_s)

    def do_all(self) -> bool:
        """Carry out every duty that does not rest, once; True when there may be more of any."""
        again = [self._do(name, duty) for name, duty in self._duties.items() if self._rest_s(name) <= 0]
        return any(again)

    def _run(self) -> None:
        while not self._stopping:
            # Before the look: a poke that comes during it leads to another one.
            self._wake.clear()
            if not self.do_all() and not self._stopping:
                self._wake.wait(self._until_next_s())
        self.do_all()

    def _do(self, name: str, duty: PeriodicTask) -> bool:
        try:
            again = duty()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next try may work and the others go on
            self._failed(name, error)
            return False
        if self._failures.pop(name, 0):
            logger.info("Duty %s works again.", name)
        return again

    def _failed(self, name: str, error: Exception) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        ceiling_s = min(LONGEST_REST_S, FIRST_REST_S * 2 ** min(failures - 1, 30))
        # At least half: the fleet's relays must not all come back to a broker in the same moment, nor at once.
        rest_s = self._uniform(ceiling_s / 2, ceiling_s)
        self._rested_at_s[name] = self._clock_s() + rest_s
        emit_counter("worker_duty_failed_total", {"duty": name})
        if failures == 1:
            logger.warning(
                "Duty %s failed (%s): %s; it is tried again until it works, next in %.1f s.",
                name,
                type(error).__name__,
                error,
                rest_s,
            )

    def _rest_s(self, name: str) -> float:
        return self._rested_at_s.get(name, 0.0) - self._clock_s()

    def _until_next_s(self) -> float:
        resting = [rest_s for name in self._duties if (rest_s := self._rest_s(name)) > 0]
        return min([self._every_s, *resting])


def _engine(settings: Settings) -> "Engine":
    from adapters.database.engine import create_engine

    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    # The thread does one thing at a time; the other connection replaces one that went stale.
    return create_engine(settings.database_url.get_secret_value(), pool_size=1, max_overflow=1)
