"""What goes on beside the jobs: a step that a thread of its own repeats, and failures that are logged once."""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from .bounds import check_positive
from .emit import emit_counter

#: How long `stop` waits for the step under way, in seconds.
DEFAULT_STOP_TIMEOUT_S = 5.0

#: Waits for an event, at most so many seconds.
Wait = Callable[[threading.Event, float], object]

logger = logging.getLogger(__name__)


class Again(NamedTuple):
    """What a step returns that wants to run again sooner than its period says.

    Parameters:
      after_s: Seconds after which, at the latest. Default 0: at once.
    """

    after_s: float = 0.0


class Outage:
    """Something that may fail for a while: that it does is logged once, and once that it works again.

    Parameters:
      log: Where the two lines go.
      failed: The warning about the first failure of a row; its last `%s` is the error.
      recovered: The line, of level info, about the first success after it.
      about: Values for the other `%s` of both.
      describe: Names the error. Default: its class, since its text may quote what is secret.
      counter: Metric that counts every failure. Default None: none does.

    Example:
      >>> outage = Outage(logger, "Queues cannot be measured: %s", "Queues are measured again.")
      >>> outage.attempt(measure)
      True
    """

    def __init__(
        self,
        log: logging.Logger,
        failed: str,
        recovered: str,
        *about: object,
        describe: Callable[[Exception], str] = lambda error: type(error).__name__,
        counter: str | None = None,
    ) -> None:
        self._log = log
        self._failed = failed
        self._recovered = recovered
        self._about = about
        self._describe = describe
        self._counter = counter
        #: Failures in a row; 0 while it works.
        self.failures = 0

    def attempt(self, step: Callable[[], object]) -> bool:
        """Run the step, take what it raises as a failure instead of raising it, and return whether it worked."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  # reported; whoever calls goes on
            self.failed(error)
            return False
        self.succeeded()
        return True

    def failed(self, error: Exception) -> None:
        """Count a failure, and log it if it is the first of a row."""
        self.failures += 1
        if self._counter is not None:
            emit_counter(self._counter)
        if self.failures == 1:
            self._log.warning(self._failed, *self._about, self._describe(error))

    def succeeded(self) -> None:
        """End the row of failures, and log that if there is one."""
        failures, self.failures = self.failures, 0
        if failures:
            self._log.info(self._recovered, *self._about)


class PeriodicThread:
    """Repeats a step in a daemon thread of its own, whatever the step raises, until it is stopped.

    The thread is there from `start` to `stop` and may be started again; in a forked process, which inherits the
    object without its thread, `start` starts another. An error of the step ends nothing: it is given to the
    outage, and the step is tried again, after twice the wait each time up to `max_wait_s`.

    Parameters:
      name: Of the thread, after `pressroom-`.
      step: Does all there is to do, and may ask to be run `Again` sooner.
      every_s: Seconds between the end of a run and the next one; more than 0.
      at_once: Whether the first run is at once and not after `every_s`. Default False.
      last_run: Whether a stop is followed by one more run, for what came during the run before. Default False.
      max_wait_s: Longest wait after a failure, in seconds. Default None: `every_s`, so there is no back-off.
      outage: Takes the errors of the step. Default None: one that logs to this module's logger.
      wait: Waits for an event; for tests. Default `threading.Event.wait`.

    Raises:
      ValueError: `every_s` is not more than 0.

    Example:
      >>> thread = PeriodicThread("sampler", sample, 15.0, at_once=True)
      >>> thread.start()
      >>> thread.stop(1.0)
      True
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Again | None],
        every_s: float,
        *,
        at_once: bool = False,
        last_run: bool = False,
        max_wait_s: float | None = None,
        outage: Outage | None = None,
        wait: Wait = threading.Event.wait,
    ) -> None:
        check_positive(every_s=every_s)
        self.name = f"pressroom-{name}"
        self._step = step
        self._every_s = every_s
        self._at_once = at_once
        self._last_run = last_run
        self._max_wait_s = every_s if max_wait_s is None else max_wait_s
        self._outage = outage or Outage(
            logger, "Thread %s failed (%s); it goes on.", "Thread %s works again.", self.name
        )
        self._wait = wait
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def start(self) -> None:
        """Begin; nothing if it runs already, and after a stop or in a forked process anew."""
        with self._lock:
            if self._run is None or not self._run.thread.is_alive():
                self._run = _Run(self.name, self._repeat)
                self._run.thread.start()

    def wake(self) -> None:
        """Run at once instead of after the wait, and once more when a run is under way that may have been too early.

        Nothing while it is stopped.
        """
        run = self._run
        if run is not None:
            run.awake.set()

    def stop(self, timeout_s: float = DEFAULT_STOP_TIMEOUT_S) -> bool:
        """End, after the run under way and the last one if there is to be one, and return whether that was in time.

        Called by the step itself it waits for nothing.

        Parameters:
          timeout_s: How long to wait, in seconds. Default 5. A thread that hangs for longer is logged and left behind.

        Returns:
          True when the thread has ended, or there was none.
        """
        with self._lock:
            run, self._run = self._run, None
            if run is None or not run.thread.is_alive():
                return True
            run.stopping = True
            run.awake.set()
        if run.thread is threading.current_thread():
            return False
        run.thread.join(timeout_s)
        if run.thread.is_alive():
            logger.error("Thread %s did not end within %.1f s; it is left behind.", self.name, timeout_s)
            return False
        return True

    def _repeat(self, run: "_Run") -> None:
        wait_s = 0.0 if self._at_once else self._every_s
        while not run.stopping:
            if wait_s > 0:
                self._wait(run.awake, wait_s)
            # Before the step: whoever wakes during it gets another run.
            run.awake.clear()
            if not run.stopping:
                wait_s = self._try()
        if self._last_run:
            self._try()

    def _try(self) -> float:
        try:
            again = self._step()
        except Exception as error:  # noqa: BLE001  # reported; the next try may work
            self._outage.failed(error)
            # The exponent is bounded: a float overflows after a thousand failures.
            return min(self._every_s * 2.0 ** min(self._outage.failures, 30), self._max_wait_s)
        self._outage.succeeded()
        return self._every_s if again is None else again.after_s


class _Run:
    """From one start to one stop: its signals are its own, so that a thread left behind by a stop stays stopped."""

    def __init__(self, name: str, repeat: "Callable[[_Run], None]") -> None:
        self.awake = threading.Event()
        self.stopping = False
        self.thread = threading.Thread(target=repeat, args=(self,), name=name, daemon=True)
