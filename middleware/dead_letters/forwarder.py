"""Carries dead letters from the spool to the store, any number of movers at once, each letter once."""

import logging
from collections.abc import Sequence
from typing import Protocol

from ..base.background import Outage, PeriodicThread
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
MAX_WAIT_S = 10.0
#: How long a stopping worker waits for its mover, in seconds.
STOP_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


class Source(Protocol):
    """What a mover needs of a spool."""

    def claim(self, limit: int, lease_ms: int) -> Sequence[DeadLetter]:
        """Lease some letters, the oldest first, that nobody else is handed for `lease_ms` milliseconds."""

    def remove(self, ids: Sequence[str]) -> None:
        """Forget letters that are in the store."""

    def depth(self) -> int:
        """Return how many letters wait."""


class Target(Protocol):
    """What a mover needs of a store."""

    def put(self, letters: Sequence[DeadLetter]) -> int:
        """Keep letters; one whose id is there already stays as it is. Tells how many were new."""


class Mover(PeriodicThread):
    """Moves letters in a thread of its own until it is stopped.

    A letter leaves the spool only when the store has it, and the store keeps a letter it has: whoever stops in
    between, nothing is lost and nothing is there twice. While the store is away the mover tries again, ever more
    slowly, at least every ten seconds. A letter that the store refuses stays in the spool and holds up no other.
    A stop moves what there is, unless the store is away; what is not moved in time stays in the spool.

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
        self._lease_ms = lease_ms
        super().__init__(
            "dead-letters",
            self._move_all,
            interval_ms / 1_000,
            at_once=True,
            last_run=True,
            max_wait_s=MAX_WAIT_S,
            outage=Outage(
                logger,
                "Dead letters wait in the spool (%s); trying on.",
                "Dead letters are moved again.",
                describe=class_name,
                counter="dead_letters_move_failed_total",
            ),
        )

    def move(self) -> int:
        """Move one batch, and return how many of it the store has.

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

    def _move_all(self) -> None:
        while self.move() == BATCH:
            pass

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
