"""Dead letters in this process's memory, for tests and for the stub broker."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .letter import COUNTED_BY, DeadLetter, Stats, check_org, check_page, counted


class MemoryDeadLetterStore:
    """A `DeadLetterStore` that is gone with the process.

    Example:
      >>> store = MemoryDeadLetterStore()
      >>> broker.add_middleware(DeadLetters(store))
      >>> store.of_org("acme").list()
    """

    def __init__(self) -> None:
        self._letters: dict[str, DeadLetter] = {}
        self._lock = threading.Lock()

    def put(self, letters: Sequence[DeadLetter]) -> int:
        with self._lock:
            before = len(self._letters)
            for letter in letters:
                self._letters.setdefault(letter.id, letter)
            return len(self._letters) - before

    def of_org(self, org: str) -> "MemoryDeadLetterBox":
        check_org(org)
        return MemoryDeadLetterBox(self._letters, self._lock, lambda letter: letter.org == org)

    def of_every_org(self) -> "MemoryDeadLetterBox":
        return MemoryDeadLetterBox(self._letters, self._lock, lambda letter: True)


@dataclass(eq=False, repr=False)
class MemoryDeadLetterBox:
    """A `DeadLetterBox` of a `MemoryDeadLetterStore`, which makes it."""

    _letters: dict[str, DeadLetter]
    _lock: threading.Lock
    _visible: Callable[[DeadLetter], bool]

    def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        return self._page(lambda letter: True, after, limit)

    def list_by_category(
        self, category: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        return self._page(lambda letter: letter.category == category, after, limit)

    def get(self, letter_id: str) -> DeadLetter | None:
        with self._lock:
            return self._find(letter_id)

    def mark_replayed(
        self,
        letter_id: str,
        message_id: str | None,
        *,
        at_ms: int,
        instead_of: str | None,
        changes: Sequence[Mapping[str, object]] = (),
    ) -> bool:
        with self._lock:
            letter = self._find(letter_id)
            if letter is None or letter.replayed_as != instead_of:
                return False
            self._letters[letter_id] = letter.marked(message_id, at_ms, changes)
            return True

    def delete(self, letter_id: str) -> bool:
        with self._lock:
            return self._find(letter_id) is not None and self._letters.pop(letter_id) is not None

    def purge(self, before_ms: int) -> int:
        with self._lock:
            old = [each.id for each in self._mine() if each.died_at_ms < before_ms]
            for letter_id in old:
                del self._letters[letter_id]
            return len(old)

    def stats(self) -> Stats:
        counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED_BY}
        with self._lock:
            for letter in self._mine():
                for name, value in counted(letter).items():
                    counts[name][value] += 1
        return {name: dict(each) for name, each in counts.items()}

    def _page(
        self, wanted: Callable[[DeadLetter], bool], after: str | None, limit: int
    ) -> Sequence[DeadLetter]:
        check_page(limit)
        with self._lock:
            found = [each for each in self._mine() if wanted(each) and (after is None or each.cursor < after)]
        return sorted(found, key=lambda letter: letter.cursor, reverse=True)[:limit]

    def _mine(self) -> Sequence[DeadLetter]:
        return [letter for letter in self._letters.values() if self._visible(letter)]

    def _find(self, letter_id: str) -> DeadLetter | None:
        letter = self._letters.get(letter_id)
        return letter if letter is not None and self._visible(letter) else None
