"""Media rows and two stores, as plain as can be, that can be cut short after any step."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from domain.errors import NotFound
from domain.limits import Limits
from domain.media_cleanup import CleanUpMedia, CleanupReport, MediaItem, MediaRepository, Storage
from tests.domain.export_fakes import Attempt

T = TypeVar("T")

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=365)


class Killed(BaseException):
    """The worker is gone."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One media row."""

    media_id: UUID = field(default_factory=uuid4)
    object_key: str
    storage: Storage = "hot"
    accessed: datetime = LONG_AGO
    #: None while something refers to it.
    unreferenced_since: datetime | None = None


@dataclass
class World:
    """`SystemTransactions`, `MediaRepository` and `MediaStore` at once."""

    rows: dict[str, Row] = field(default_factory=dict)
    hot: set[str] = field(default_factory=set)
    cold: set[str] = field(default_factory=set)
    #: What a store says to whoever touches the object.
    broken: dict[str, BaseException] = field(default_factory=dict)
    #: Dies right after that step, counted from 1.
    killed_after: int | None = None
    steps: int = 0
    pages: list[int] = field(default_factory=list)
    #: Happens right after an object was copied.
    on_copy: Callable[[str], object] = lambda key: None
    attempt: Attempt = field(default_factory=lambda: Attempt(uuid4()))

    def add(self, key: str, **row: object) -> Row:
        """A media item with its hot copy."""
        made = Row(object_key=key, **row)  # type: ignore[arg-type]
        self.rows[key] = made
        self.hot.add(key)
        return made

    def clean_up(self) -> CleanupReport:
        """One run."""
        return CleanUpMedia(run=self.attempt, transactions=self, store=self, limits=Limits())()

    def state(self, key: str) -> tuple[str | None, bool, bool]:
        """What the row says, and whether there is a hot and a cold copy."""
        row = self.rows.get(key)
        return row.storage if row else None, key in self.hot, key in self.cold

    def __call__(self, work: Callable[[MediaRepository], T], *, timeout_s: float = 30.0) -> T:
        self._check_alive()
        before = dict(self.rows)
        result = work(self)
        if self.rows != before:
            self._step()
        return result

    def unfinished(self, after: str | None, limit: int) -> list[MediaItem]:
        found = [row for row in self.rows.values() if row.storage in ("cooling", "deleting")]
        later = [row for row in found if after is None or row.object_key > after]
        return [_item(row, NOW) for row in sorted(later, key=lambda row: row.object_key)][:limit]

    def orphans(self, unreferenced: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        found = [
            row for row in self.rows.values() if row.storage != "deleting" and _orphan(row, unreferenced)
        ]
        return self._page([_item(row, row.unreferenced_since or NOW) for row in found], after, limit)

    def unseen(self, unseen: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        found = [row for row in self.rows.values() if _unseen(row, unseen)]
        return self._page([_item(row, row.accessed) for row in found], after, limit)

    def condemn(self, object_keys: Collection[str], unreferenced: timedelta) -> set[str]:
        for key in object_keys:
            if key in self.rows and _orphan(self.rows[key], unreferenced):
                self.rows[key] = replace(self.rows[key], storage="deleting")
        return {key for key in object_keys if key in self.rows and self.rows[key].storage == "deleting"}

    def cool(self, object_keys: Collection[str], unseen: timedelta) -> Mapping[str, Storage]:
        for key in object_keys:
            if key in self.rows and _unseen(self.rows[key], unseen):
                self.rows[key] = replace(self.rows[key], storage="cooling")
        return {key: self.rows[key].storage for key in object_keys if key in self.rows}

    def settle(self, object_keys: Collection[str]) -> None:
        for key in object_keys:
            if self.rows[key].storage == "deleting":
                del self.rows[key]
            else:
                self.rows[key] = replace(self.rows[key], storage="cold")

    def copy_to_cold(self, object_key: str, media_type: str) -> None:
        self._touch(object_key)
        if object_key not in self.hot | self.cold:
            raise NotFound("object", object_key)
        self.cold.add(object_key)
        self._step()
        self.on_copy(object_key)

    def remove_cold(self, object_key: str) -> None:
        self._touch(object_key)
        self.cold.discard(object_key)
        self._step()

    def remove_hot(self, object_key: str) -> None:
        self._touch(object_key)
        assert object_key in self.cold
        self.hot.discard(object_key)
        self._step()

    def remove(self, object_key: str) -> None:
        self._touch(object_key)
        self.hot.discard(object_key)
        self._step()
        self.cold.discard(object_key)
        self._step()

    def _page(self, items: list[MediaItem], after: MediaItem | None, limit: int) -> list[MediaItem]:
        later = [each for each in items if after is None or _place(each) > _place(after)]
        self.pages.append(min(limit, len(later)))
        return sorted(later, key=_place)[:limit]

    def _touch(self, object_key: str) -> None:
        self._check_alive()
        if object_key in self.broken:
            raise self.broken[object_key]

    def _step(self) -> None:
        self._check_alive()
        self.steps += 1
        self._check_alive()

    def _check_alive(self) -> None:
        if self.killed_after is not None and self.steps >= self.killed_after:
            raise Killed


def _place(item: MediaItem) -> tuple[datetime, UUID]:
    return item.since, item.media_id


def _item(row: Row, since: datetime) -> MediaItem:
    return MediaItem(
        media_id=row.media_id,
        object_key=row.object_key,
        media_type="image/png",
        storage=row.storage,
        since=since,
    )


def _orphan(row: Row, unreferenced: timedelta) -> bool:
    return row.unreferenced_since is not None and row.unreferenced_since <= NOW - unreferenced


def _unseen(row: Row, unseen: timedelta) -> bool:
    return row.storage == "hot" and row.accessed <= NOW - unseen
