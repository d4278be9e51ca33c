"""How much a session may fetch: what its threads can take, and a little ahead; nothing while it is quiet."""

from collections.abc import Callable
from typing import Final, Literal

from ..announcements import announce_suspects
from .wakeup import Wakeup

#: Fetched ahead is what the threads finish in this time, in milliseconds, and never more than so many messages.
AHEAD_MS: Final = 20
MAX_AHEAD: Final = 128
#: Nothing more is fetched while so many bytes are held that have not begun; but for one message where it is larger.
MAX_AHEAD_BYTES: Final = 4 * 1024 * 1024
#: One fetch brings so many messages at most, and so many bytes of them, or one message.
MAX_ROOM: Final = 136
MAX_ROOM_BYTES: Final = 2 * 1024 * 1024

#: A fetch is worth while for what the threads finish in this time, in milliseconds: so long may it take until what
#: another org sends is known here.
FETCH_EVERY_MS: Final = 2

_SMOOTHING = 0.02
_FIRST_GUESS_MS = 10.0

#: What a fetch may bring, as the script knows it.
Mode = Literal["share", "any", "alone", "probe"]


class PrefetchBudget:
    """The budget of one session, over all its queues, and the consumers that wait for it.

    State: numbers and flags, written by the thread that holds the session's call lock, or, like the mean run time, by
    worker threads that may overwrite each other's share of it; and a dictionary of waiting consumers in the order they
    came, changed in atomic steps. No lock.

    Parameters:
        threads: jobs that run at once.
        ahead: whether more may be fetched than run.
        held: how many messages are held and not finished.
        unstarted_bytes: how many bytes the messages have that are held and not begun.
        mode: `share` (suspects are another process's), `any` (this one may be chosen for one) or `probe` (it runs
            nothing else).
    """

    def __init__(
        self,
        threads: int,
        *,
        ahead: bool,
        held: Callable[[], int],
        mode: Mode,
        unstarted_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self.threads = threads
        #: There was no capacity for the bytes of what has not begun: a message that begins may make room.
        self.is_full_of_bytes = False
        self._unstarted_bytes = unstarted_bytes
        #: An operator asked the worker to fetch nothing.
        self.quiet = False
        #: Jobs run for so long that nothing fetched ahead would begin soon.
        self.stuck = False
        #: The queue of which this process makes itself idle for a suspect; None while it works as ever.
        self.isolated_in: str | None = None
        self._with_ahead = ahead
        self._held = held
        self._mode: Mode = mode
        self._mean_ms = _FIRST_GUESS_MS
        self._waiting_consumers: dict[int, tuple[str, Wakeup]] = {}
        #: While more messages than this are held, no consumer need be woken.
        self._wake_at_held = 0

    def capacity(self, queue: str | None = None) -> int:
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
        if free < self._min_batch(ahead):
            return 0
        self.is_full_of_bytes = self.room_bytes() <= 0
        return 0 if self.is_full_of_bytes else min(free, MAX_ROOM)

    def room_bytes(self) -> int:
        """How many bytes one fetch may bring now; it may bring one message all the same."""
        return (
            min(MAX_ROOM_BYTES, MAX_AHEAD_BYTES - self._unstarted_bytes())
            if self._with_ahead
            else MAX_ROOM_BYTES
        )

    def mode(self, queue: str) -> Mode:
        """What a fetch of the queue may bring."""
        return "alone" if self.isolated_in == queue else self._mode

    def record_run(self, took_ms: float) -> None:
        """Count the duration of a job that ended."""
        self.stuck = False
        self._mean_ms += (took_ms - self._mean_ms) * _SMOOTHING

    def note_suspects(self, queue: str, waiting: int, *, isolated: bool) -> None:
        """Act on suspects: they run here, once nothing else does, or in a process of the supervisor's.

        Parameters:
            queue: where they wait.
            waiting: 0 for none, 1 where there are some, 2 where this session was chosen for one, as a fetch returns it.
            isolated: whether the fetch brought one.
        """
        if waiting == 1 and self.mode(queue) == "share":
            announce_suspects()
        if waiting == 2:
            self.isolated_in = queue
        elif self.isolated_in == queue and not isolated:
            self.isolated_in = None

    def wait_for_capacity(self, queue: str, wakeup: Wakeup, timeout_s: float) -> bool:
        """Block until messages of a queue may be fetched and it is this consumer's turn: they go in order of arrival.

        Without turns a flooded queue's consumer, which is always ready to fetch, would win most of the room there is.

        Parameters:
            queue: the queue's name.
            wakeup: the consumer's own; whoever else raises it ends the wait as well.
            timeout_s: most seconds to wait.

        Returns:
            False when the time is over. Who gets True calls `wake_consumers` when it has fetched, or will not.
        """
        wakeup.wait(0.0)  # what is up is of a turn that is over, and would end the wait for this one
        self._waiting_consumers[id(wakeup)] = (queue, wakeup)
        self._wake_at_held = self._max_held()
        try:
            if self._next_consumer() is wakeup:
                return True
            wakeup.wait(timeout_s)
            return self._next_consumer() is wakeup
        finally:
            self._waiting_consumers.pop(id(wakeup), None)

    def release_capacity(self) -> None:
        """Wake the consumer whose turn it is, where the end of a message made room for it."""
        # Called for each message: the capacity is computed only when it may say something new, and signalled once.
        if self._waiting_consumers and self._held() <= self._wake_at_held:
            self._wake_at_held = -1
            if not self.wake_consumers():
                self._wake_at_held = self._max_held()

    def wake_consumers(self) -> bool:
        """Wake the consumer whose turn it is, where there is capacity. Returns False where there is none."""
        following = self._next_consumer()
        if following is not None:
            following.set()
        return following is not None

    def _next_consumer(self) -> Wakeup | None:
        """Who has waited longest of those whose queue may be fetched."""
        for queue, wakeup in list(self._waiting_consumers.values()):
            if self.capacity(queue):
                return wakeup
        return None

    def _max_held(self) -> int:
        """So many messages held, and fewer, leave capacity; -1 when nothing would."""
        if self.quiet:
            return -1
        if self._mode == "probe" or self.isolated_in is not None:
            return 0
        ahead = self._ahead()
        return self.threads + ahead - self._min_batch(ahead)

    def _ahead(self) -> int:
        if self.stuck or not self._with_ahead:
            return 0
        return min(MAX_AHEAD, int(self.threads * AHEAD_MS / max(self._mean_ms, 0.01)))

    def _min_batch(self, ahead: int) -> int:
        soon = int(self.threads * FETCH_EVERY_MS / max(self._mean_ms, 0.01))
        return max(1, min(ahead // 2, soon))
