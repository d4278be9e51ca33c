"""The background thread of a worker session: flushes what is finished, and runs the session's periodic checks."""

import logging
import threading
import time
from collections.abc import Callable

from dramatiq.errors import BrokerError

from .finish_buffer import FLUSH_S, FinishBuffer

#: Longest time between two checks, and before what failed is tried again, in seconds.
CHECK_S = 1.0

logger = logging.getLogger(__name__)


class SessionTimer:
    """Flushes a buffer a few milliseconds after something is put into it, and checks once in a while.

    State: its own thread; `stop` is called by another.

    Parameters:
        finished: what is to be flushed, and what wakes the thread.
        flush: sends it.
        check: what is to be done now and then.
        every_s: seconds between two checks.
    """

    def __init__(
        self, finished: FinishBuffer, *, flush: Callable[[], None], check: Callable[[], None], every_s: float
    ) -> None:
        self._finished = finished
        self._flush = flush
        self._check = check
        self._every_s = min(CHECK_S, every_s)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="pressroom-broker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the thread has ended; on the thread itself this does nothing.

        Parameters:
            timeout_s: most seconds to wait. Default None: for ever.
        """
        self._finished.wake()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        retry_s, check_at_s = FLUSH_S, time.monotonic() + self._every_s
        while not self._stopped:
            self._finished.wait(check_at_s - time.monotonic())
            try:
                self._flush_overdue()
                if time.monotonic() >= check_at_s:
                    check_at_s = time.monotonic() + self._every_s
                    self._check()
                retry_s = FLUSH_S
            except BrokerError as error:
                logger.warning("Finished messages cannot be reported (%s); it is tried again.", error)
                retry_s = min(2 * retry_s, CHECK_S)
                time.sleep(retry_s)
                self._finished.wake()
            except Exception:
                logger.exception("The broker's thread failed; it goes on.")
                time.sleep(CHECK_S)

    def _flush_overdue(self) -> None:
        while not self._stopped and (wait_s := self._finished.overdue_in_s()) is not None:
            if wait_s > 0:
                time.sleep(wait_s)
            else:
                self._flush()
