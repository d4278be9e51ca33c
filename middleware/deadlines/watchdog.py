"""A thread that looks after what has a deadline, and an alarm for when even that thread cannot run."""

import faulthandler
import math
import threading
import time
from collections.abc import Callable

#: Longest the thread waits at a time, in seconds; deadlines may be further away than timers reach.
LONGEST_WAIT_S = 24 * 60 * 60.0

#: File descriptor of the process's standard error, whatever `sys.stderr` has been replaced with.
_STDERR = 2


class Watchdog:
    """Calls `scan` at the moments that it asks for, on a thread that starts with the first of them.

    While it waits, an alarm outside the interpreter is set a while after that moment. A job that holds the
    interpreter's lock for so long (a regular expression gone wild does) stops every Python thread, this one too:
    then the alarm writes every thread's stack to standard error and ends the process with code 1.

    Parameters:
      scan: Does what is due and returns the next moment, as monotonic seconds; infinity for none.
      frozen_after_s: How late the thread may be before the process counts as frozen. None sets no alarm. There is
        one such alarm a process (`faulthandler.dump_traceback_later`).
      monotonic: Seconds that only go forward. Default `time.monotonic`.
    """

    def __init__(
        self,
        scan: Callable[[], float],
        *,
        frozen_after_s: float | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scan = scan
        self._frozen_after_s = frozen_after_s
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._wake_s = math.inf
        self._scanning = False
        self._thread: threading.Thread | None = None

    def expect(self, moment_s: float) -> None:
        """Scan no later than at this moment.

        The alarm is set by the caller: what it does next may hold the interpreter's lock before the thread had a turn.
        """
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._scanning = False
                self._thread = threading.Thread(target=self._run, name="pressroom-watchdog", daemon=True)
                self._thread.start()
            if moment_s < self._wake_s:
                self._wake_s = moment_s
                if not self._scanning:  # what the scan needs is set, and it may be more
                    self._set_alarm(moment_s - self._monotonic())
                self._changed.notify()

    def allow(self, longer_s: float) -> None:
        """Called from `scan`: what it does now takes up to this long, and is no sign of being frozen."""
        self._set_alarm(longer_s)

    def stop(self) -> None:
        """Stop watching; fine when it never began."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._wake_s = math.inf
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        mine = threading.current_thread()
        try:
            while self._wait(mine):
                self._expect_more(mine, self._scan())
        finally:
            self._set_alarm(math.inf)

    def _wait(self, mine: threading.Thread) -> bool:
        with self._changed:
            while self._thread is mine:
                left_s = self._wake_s - self._monotonic()
                if left_s <= 0:
                    self._wake_s = math.inf
                    self._scanning = True
                    return True
                self._set_alarm(left_s)
                self._changed.wait(min(left_s, LONGEST_WAIT_S))
        return False

    def _expect_more(self, mine: threading.Thread, moment_s: float) -> None:
        with self._changed:
            self._scanning = False
            # Whoever was stopped meanwhile stays so.
            if self._thread is mine:
                self._wake_s = min(self._wake_s, moment_s)

    def _set_alarm(self, left_s: float) -> None:
        if self._frozen_after_s is None:
            return
        if left_s == math.inf:
            faulthandler.cancel_dump_traceback_later()
        else:
            wait_s = min(max(0.0, left_s), LONGEST_WAIT_S) + self._frozen_after_s
            faulthandler.dump_traceback_later(wait_s, exit=True, file=_STDERR)
