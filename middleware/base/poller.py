"""What a process must know without asking for each job: fetched once a second, in the background, for all guards."""

import logging
import threading
from collections.abc import Callable

#: How old what a guard knows may be, in seconds.
DEFAULT_INTERVAL_S = 1.0

#: How long the last one to leave waits for a fetch that is under way, in seconds.
STOP_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class Poller:
    """One thread that refreshes what any number of guards know.

    It runs while there is somebody to refresh. What a refresh raises is logged once, until it works again; in the
    meantime the guard goes on with what it knew.

    Parameters:
      interval_s: Seconds between two rounds. Default 1.

    Example:
      >>> flags = Poller()
      >>> flags.add("breakers", breakers.refresh)
    """

    def __init__(self, *, interval_s: float = DEFAULT_INTERVAL_S) -> None:
        if not interval_s > 0:
            raise ValueError(f"interval_s must be more than 0, not {interval_s}")
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._refreshes: dict[Callable[[], None], str] = {}
        self._failing: set[Callable[[], None]] = set()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def add(self, name: str, refresh: Callable[[], None]) -> None:
        """Refresh now, so that nothing begins in ignorance, and from now on.

        Parameters:
            name: for the log.
            refresh: fetches, in one round trip when nothing has changed; may raise.
        """
        with self._lock:
            self._refreshes[refresh] = name
        self._call(name, refresh)
        with self._lock:
            # After a fork the object is here and its thread is not.
            if self._refreshes and (self._thread is None or not self._thread.is_alive()):
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopping,), name="pressroom-flags", daemon=True
                )
                self._thread.start()

    def remove(self, refresh: Callable[[], None]) -> None:
        """Refresh no more; the last one to leave stops the thread. Fine when it never was added."""
        with self._lock:
            self._refreshes.pop(refresh, None)
            self._failing.discard(refresh)
            if self._refreshes or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._stopping.set()
        if thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT_S)

    def poll_now(self) -> None:
        """Refresh everything at once, in the caller's thread; what fails is logged."""
        with self._lock:
            refreshes = list(self._refreshes.items())
        for refresh, name in refreshes:
            self._call(name, refresh)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(self._interval_s):
            self.poll_now()

    def _call(self, name: str, refresh: Callable[[], None]) -> None:
        try:
            refresh()
        except Exception as error:  # noqa: BLE001  # whatever one source does, the others are refreshed
            if refresh not in self._failing:
                self._failing.add(refresh)
                logger.warning(
                    "Cannot refresh %s (%s); what was known last stays in force.", name, type(error).__name__
                )
        else:
            if refresh in self._failing:
                self._failing.discard(refresh)
                logger.info("Refreshing %s works again.", name)


_of_this_process = Poller()


def shared_poller() -> Poller:
    """The one poll of this process, which guards share unless they are given another."""
    return _of_this_process
