"""Carries dead letters from the spool to the store, any number of movers at once, each letter once."""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from ..base.classification import class_name, is_retryable
from ..base.emit import emit_counter, emit_gauge
from .letter import DeadLetter

#: Milliseconds between two looks into the spool.
DEFAULT_INTERVAL_MS = 1_000
#: Milliseconds after which claimed letters may be moved by somebody else.
DEFAULT_LEASE_MS = 10_000
#: Letters moved at once.
BATCH = 100
#: Longest wait between two tries while the store is away, in seconds.
LONGEST_WAIT_S = 10.0
#: How long a stopping worker waits for its mover, in seconds.
STOP_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


class Source(Protocol):
    """What a mover needs of a spool."""

    def claim(self, limit: int, lease_ms: int) -> Sequence[DeadLetter]:
        """Letters that nobody else is handed for a while."""

    def remove(self, ids: Sequence[str]) -> None:
        """Forget letters."""

    def depth(self) -> int:
        """How many letters wait."""


class Target(Protocol):
    """What a mover needs of a store."""

    def put(self, letters: Sequence[DeadLetter]) -> int:
        """Keep letters, each once."""


class Mover:
    """Moves letters in a thread of its own until it is stopped.

    A letter leaves the spool only when the store has it, and the store keeps a letter it has: whoever stops in
    between, nothing is lost and nothing is there twice. While the store is away the mover tries again, ever more
    slowly, at least every ten seconds. A letter that the store refuses stays in the spool and holds up no other.

    Parameters:
      spool: From where.
      store: To where.
      interval_ms: Milliseconds between two looks. Default 1,000.
      lease_ms: Milliseconds after which another mover may take what this one claimed. Default 10,000.

    Example:
      >>> Mover(spool, store).move()
      3
    """

    def __init__(
        self,
        spool: Source,
        store: Target,
        *,
        interval_ms: int = DEFAULT_INTERVAL_MS,
        lease_ms: int = DEFAULT_LEASE_MS,
    ) -> None:
        self._spool = spool
        self._store = store
        self._interval_s = interval_ms / 1_000
        self._lease_ms = lease_ms
        self._awake = threading.Event()
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="dead-letter-mover", daemon=True)

    def start(self) -> None:
        """Begin moving."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: there is a letter."""
        self._awake.set()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Move what there is, unless the store is away, and end; whether it ended in time.

        Parameters:
          timeout_s: How long to wait for that, in seconds. Default 10. What is not moved stays in the spool.
        """
        self._stopping = True
        self._awake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def move(self) -> int:
        """Move one batch; tells how many letters are in the store now.

        Raises:
          Exception: What the spool or the store raised because it is away. The letters stay claimed for a while.
        """
        letters = self._spool.claim(BATCH, self._lease_ms)
        if not letters:
            return 0
        stored = self._put(letters)
        if stored:
            self._spool.remove(stored)
            emit_counter("dead_letters_moved_total", by=len(stored))
        emit_gauge("dead_letters_spooled", self._spool.depth())
        return len(stored)

    def _put(self, letters: Sequence[DeadLetter]) -> list[str]:
        try:
            self._store.put(letters)
        except Exception as error:
            if is_retryable(error):
                raise
            # One of them is refused; the others are not to wait for it.
            return [letter.id for letter in letters if self._put_single(letter)]
        return [letter.id for letter in letters]

    def _put_single(self, letter: DeadLetter) -> bool:
        try:
            self._store.put([letter])
        except Exception as error:
            if is_retryable(error):
                raise
            emit_counter("dead_letters_refused_total")
            logger.error(  # noqa: TRY400  # a traceback of the store's may quote the letter
                "The store refuses dead letter %s (%s); it stays in the spool.", letter.id, class_name(error)
            )
            return False
        return True

    def _run(self) -> None:
        wait_s = self._interval_s
        while True:
            # Cleared before the look: a letter that comes during it is seen by the next one.
            self._awake.clear()
            stopping = self._stopping
            try:
                more = self.move() == BATCH
                wait_s = 0 if more else self._interval_s
                self._recovered()
            except Exception as error:  # noqa: BLE001  # whatever it was, the letters are still in the spool
                more, wait_s = False, min(max(wait_s, self._interval_s) * 2, LONGEST_WAIT_S)
                self._failed(error)
            if stopping and not more:
                return
            self._awake.wait(wait_s)

    def _failed(self, error: Exception) -> None:
        emit_counter("dead_letters_move_failed_total")
        if not self._failing:
            logger.warning("Dead letters wait in the spool (%s); trying on.", class_name(error))
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            logger.info("Dead letters are moved again.")
        self._failing = False
