"""A spool of dead letters in this process's memory, for tests and for the stub broker."""

import threading
import time
from collections.abc import Callable, Sequence

from .letter import DeadLetter


class MemoryDeadLetterSpool:
    """A `DeadLetterSpool` that is gone with the process.

    Parameters:
      now_ms: Some clock in milliseconds; for tests. Default: the monotonic one.
    """

    def __init__(self, *, now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._letters: dict[str, DeadLetter] = {}
        self._due_ms: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, letters: Sequence[DeadLetter]) -> int:
        with self._lock:
            new = [letter for letter in letters if letter.id not in self._letters]
            for letter in new:
                self._letters[letter.id] = letter
                self._due_ms[letter.id] = self._now_ms()
            return len(new)

    def claim(self, limit: int, lease_ms: int) -> Sequence[DeadLetter]:
        with self._lock:
            now_ms = self._now_ms()
            due = sorted((at_ms, each) for each, at_ms in self._due_ms.items() if at_ms <= now_ms)[:limit]
            for _, each in due:
                self._due_ms[each] = now_ms + lease_ms
            return [self._letters[each] for _, each in due]

    def remove(self, ids: Sequence[str]) -> None:
        with self._lock:
            for each in ids:
                self._letters.pop(each, None)
                self._due_ms.pop(each, None)

    def depth(self) -> int:
        with self._lock:
            return len(self._letters)
