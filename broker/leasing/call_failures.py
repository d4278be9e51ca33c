"""Which calls of a worker fail although the server answers: then the worker is not well, however busily it beats."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dramatiq.errors import ConnectionClosed


class CallFailures:
    """Notes what fails, and since when, until it succeeds.

    A server that does not answer is not noted: all its workers wait for it, and it is well or not by itself.

    State: a dictionary, changed in atomic steps by whichever thread makes the call.

    Parameters:
        after_s: seconds for which a call has to fail until the worker is not well.
        monotonic: seconds that only go forward; for tests. Default `time.monotonic`.
    """

    def __init__(self, after_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._after_s = after_s
        self._now_s = monotonic
        self._failing: dict[str, tuple[float, str]] = {}

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Note whether a block fails.

        Parameters:
            what: it does, as in "fetching from queue exports".
        """
        try:
            yield
        except ConnectionClosed:
            raise
        except Exception as error:
            since_s, _ = self._failing.get(what, (self._now_s(), ""))
            self._failing[what] = since_s, f"{type(error).__name__}: {str(error)[:200]}"
            raise
        else:
            self._failing.pop(what, None)

    @property
    def text(self) -> str | None:
        """What fails for so long that the worker is not well, and why; None where it is."""
        now_s = self._now_s()
        for what, (since_s, why) in list(self._failing.items()):
            if now_s - since_s >= self._after_s:
                return f"{what} fails, although the server answers: {why}"
        return None
