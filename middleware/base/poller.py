"""What a process must know without asking for each job: fetched once a second, in the background, for all guards."""

import logging
import threading
from collections.abc import Callable

from .background import Outage, PeriodicThread
from .bounds import check_positive

#: How old what a guard knows may be, in seconds.
DEFAULT_INTERVAL_S = 1.0

#: How long the last one to leave waits for a fetch that is under way, in seconds.
STOP_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class Poller:
    """A thread that refreshes what any number of guards know.

    It runs while there is somebody to refresh. What a refresh raises is logged once, until it works again; in the
    meantime the guard goes on with what it knew.

    Parameters:
      interval_s: Seconds between two rounds. Default 1.

    Example:
      >>> poller = Poller()
      >>> poller.add("breakers", breakers.refresh)
    """

    def __init__(self, *, interval_s: float = DEFAULT_INTERVAL_S) -> None:
        check_positive(interval_s=interval_s)
        self._lock = threading.Lock()
        self._refreshes: dict[Callable[[], None], Outage] = {}
        self._thread = PeriodicThread("flags", self.poll_now, interval_s)

    def add(self, name: str, refresh: Callable[[], None]) -> None:
        """Refresh now, so that nothing begins in ignorance, and from now on.

        Parameters:
            name: for the log.
            refresh: fetches, in one round trip when nothing has changed; may raise.
        """
        outage = Outage(
            logger,
            "Cannot refresh %s (%s); what was known last stays in force.",
            "Refreshing %s works again.",
            name,
        )
        with self._lock:
            self._refreshes[refresh] = outage
        outage.attempt(refresh)
        self._start_if_needed()

    def remove(self, refresh: Callable[[], None]) -> None:
        """Refresh no more; the last one to leave stops the thread. Fine when it never was added."""
        with self._lock:
            self._refreshes.pop(refresh, None)
            if self._refreshes:
                return
        self._thread.stop(STOP_TIMEOUT_S)
        # Another may have been added before the thread was asked to stop.
        self._start_if_needed()

    def poll_now(self) -> None:
        """Refresh everything at once, in the caller's thread; what fails is logged."""
        with self._lock:
            refreshes = list(self._refreshes.items())
        for refresh, outage in refreshes:
            outage.attempt(refresh)

    def _start_if_needed(self) -> None:
        with self._lock:
            if self._refreshes:
                self._thread.start()


_of_this_process = Poller()


def shared_poller() -> Poller:
    """The one poll of this process, which guards share unless they are given another."""
    return _of_this_process
