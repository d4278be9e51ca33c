"""How much a process may fetch: what its threads can take, and a little ahead; nothing while it is quiet."""

from collections.abc import Callable
from typing import Final, Literal

#: Fetched ahead is what the threads finish in this time, in milliseconds, and never more than so many messages.
AHEAD_MS: Final = 20
MOST_AHEAD: Final = 128

#: A fetch is worth while for what the threads finish in this time, in milliseconds: so long may it take until what
#: another org sends is known here.
FETCH_EVERY_MS: Final = 2

_SMOOTHING = 0.02
_FIRST_GUESS_MS = 10.0

#: What a fetch may bring, as the script knows it.
Mode = Literal["share", "any", "alone", "probe"]


class Budget:
    """One process's, over all its queues.

    Parameters:
        threads: jobs that run at once.
        ahead: whether more may be fetched than run.
        held: how many messages are held and not finished.
        mode: `share` (suspects are another process's), `any` (this one may be chosen for one) or `probe` (it runs
            nothing else).
    """

    def __init__(self, threads: int, *, ahead: bool, held: Callable[[], int], mode: Mode) -> None:
        self.threads = threads
        #: An operator told the worker to fetch nothing.
        self.quiet = False
        #: Jobs run for so long that nothing fetched ahead would begin soon.
        self.stuck = False
        #: The queue of which this process makes itself idle for a suspect; None while it works as ever.
        self.isolated_in: str | None = None
        self._with_ahead = ahead
        self._held = held
        self._mode: Mode = mode
        self._mean_ms = _FIRST_GUESS_MS

    def room(self, queue: str | None = None) -> int:
        """How many messages may be fetched now; 0 while fetching would be for too few.

        Parameters:
            queue: of this queue. Default None: of any.
        """
        if self.quiet:
            return 0
        if self._mode == "probe" or self.isolated_in is not None:
            served = self._mode == "probe" or queue in (None, self.isolated_in)
            return 1 if served and self._held() <= 0 else 0
        ahead = self._ahead()
        free = self.threads + ahead - self._held()
        return free if free >= self._least(ahead) else 0

    def full_above(self) -> int:
        """So many messages held, and fewer, leave room; -1 when nothing would."""
        if self.quiet:
            return -1
        if self._mode == "probe" or self.isolated_in is not None:
            return 0
        ahead = self._ahead()
        return self.threads + ahead - self._least(ahead)

    def mode(self, queue: str) -> Mode:
        """What a fetch of the queue may bring."""
        return "alone" if self.isolated_in == queue else self._mode

    def learn(self, took_ms: float) -> None:
        """A job ended that took so long."""
        self.stuck = False
        self._mean_ms += (took_ms - self._mean_ms) * _SMOOTHING

    def _ahead(self) -> int:
        if self.stuck or not self._with_ahead:
            return 0
        return min(MOST_AHEAD, int(self.threads * AHEAD_MS / max(self._mean_ms, 0.01)))

    def _least(self, ahead: int) -> int:
        soon = int(self.threads * FETCH_EVERY_MS / max(self._mean_ms, 0.01))
        return max(1, min(ahead // 2, soon))
