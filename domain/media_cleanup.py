"""Media nobody looks at goes to cold storage, media nothing shows is deleted; whenever that is cut short.

Rows and objects cannot change in one step, so a row says first what its copies are on the way to:

    hot ──copied, verified──> cooling ──hot copy removed──> cold
    hot, cooling, cold ──unreferenced──> deleting ──copies removed──> no row

A step is taken only when the one before it is committed, and each may be repeated. So a run that is cut short
anywhere leaves every object where its row says it is, and the next run finds `cooling` and `deleting` rows and
finishes them. Nothing leads out of `deleting`, and the database refuses new references to such media; so not even a
worker that was frozen between two steps, and goes on much later, deletes what is in use again.

Whoever brings cold media back stores it under a new object key: a late worker may still remove the old hot copy.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from .contract import Model
from .errors import JobError
from .limits import Limits
from .ports import Run, SystemTransactions

#: Media handled between two places to stop.
BATCH_ITEMS = 100
#: Media handled at once.
ITEMS_AT_ONCE = 10
#: Failures that are told one by one; the others are counted.
MAX_REPORTED = 100
#: Characters of a failure's message that are kept.
MAX_MESSAGE_CHARS = 300
#: Seconds between two looks at whether the job was interrupted while objects move.
LOOK_S = 0.2

#: Where the copies of a media item are, or are on the way to.
Storage = Literal["hot", "cooling", "cold", "deleting"]


@dataclass(frozen=True, kw_only=True)
class MediaItem:
    """A media file. It may change hands in the middle of a run, so its object key is what identifies it."""

    media_id: UUID
    object_key: str
    media_type: str
    storage: Storage
    #: What a page is ordered by: last access or last reference.
    since: datetime


class MediaFailure(Model):
    """An item that could not be handled; the next run tries it again."""

    media_id: UUID
    category: str
    message: str


class CleanupReport(Model):
    """What came of it."""

    cold_moved: int
    orphaned_deleted: int
    failed: int
    """Items that could not be handled."""
    errors: tuple[MediaFailure, ...]
    """The first hundred of them."""


class MediaRepository(Protocol):
    """Every org's media, within one transaction of the system role."""

    def unfinished(self, after: str | None, limit: int) -> list[MediaItem]:
        """What is `cooling` or `deleting`, by object key, after the key `after`."""

    def orphans(self, unreferenced: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        """Media without a reference for so long and not `deleting`, the longest first, those after `after`."""

    def unseen(self, unseen: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        """`hot` media without access for so long, the longest first, those after `after`."""

    def condemn(self, object_keys: Collection[str], unreferenced: timedelta) -> set[str]:
        """Make those that are orphans still `deleting`; all of the keys that are `deleting` afterwards.

        From the commit on the database refuses references to them.
        """

    def cool(self, object_keys: Collection[str], unseen: timedelta) -> Mapping[str, Storage]:
        """Make those that are `hot` and unseen still `cooling`; what each of the keys is afterwards, if anything."""

    def settle(self, object_keys: Collection[str]) -> None:
        """Their copies are removed: make those that are `cooling` `cold`, and delete rows that are `deleting`."""


class MediaStore(Protocol):
    """Where the files are: one hot and one cold store. Every method may be called again, and by several threads.

    All raise StorageUnavailable, AuthFailed or InvalidInput when a store does not do its part.
    """

    def copy_to_cold(self, object_key: str, media_type: str) -> None:
        """Have a verified cold copy, whether or not there was one.

        Raises:
            NotFound: there is no copy anywhere.
        """

    def remove_cold(self, object_key: str) -> None:
        """Remove the cold copy; fine when there is none."""

    def remove_hot(self, object_key: str) -> None:
        """Remove the hot copy, provided there is a cold one of the same size; fine when there is no hot one."""

    def remove(self, object_key: str) -> None:
        """Remove every copy; fine when there is none."""


@dataclass(frozen=True, kw_only=True)
class CleanUpMedia:
    """The handler.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work of the system role.
        store: where the files are.
        limits: `orphan_media_days` and `cold_media_days`.

    Example:
        >>> CleanUpMedia(run=run, transactions=db, store=store, limits=Limits())().orphaned_deleted
        12
    """

    run: Run
    transactions: SystemTransactions[MediaRepository]
    store: MediaStore
    limits: Limits

    def __call__(self) -> CleanupReport:
        """Finish what an earlier run left, delete orphans, then move what nobody looks at.

        An item that fails stops none of the others, and is left alone until the next run.

        Raises:
            DatabaseUnavailable: what was done by then stays done.
            Cancelled, DeadlineExceeded: between two batches, or while objects move. The next run goes on from there.
        """
        with _threads() as threads:
            tally = _Tally(threads)
            self._finish_earlier(tally)
            self.run.progress(10, "earlier runs finished")
            self._delete_orphans(tally)
            self.run.progress(50, f"{tally.orphaned_deleted} orphans deleted")
            self._move_unseen(tally)
            self.run.progress(100, f"{tally.cold_moved} moved to cold storage")
        return tally.report()

    def _finish_earlier(self, tally: "_Tally") -> None:
        after: str | None = None
        while batch := self._unfinished(after):
            after = batch[-1].object_key
            self._finish(batch, {each.object_key: each.storage for each in batch}, tally)

    def _delete_orphans(self, tally: "_Tally") -> None:
        after: MediaItem | None = None
        while batch := self._orphans(after):
            after = batch[-1]
            self._finish(batch, dict.fromkeys(self._condemn(batch), "deleting"), tally)

    def _move_unseen(self, tally: "_Tally") -> None:
        after: MediaItem | None = None
        while batch := self._unseen(after):
            after = batch[-1]
            copied = tally.each(batch, lambda item: self.store.copy_to_cold(item.object_key, item.media_type))
            states = self._cool(copied)
            self._finish(copied, states, tally)
            # Looked at meanwhile, or gone: nothing will ever lead to the copies that were just made of these.
            stray = [each for each in copied if states.get(each.object_key) not in ("cooling", "cold")]
            tally.each(stray, lambda item: self.store.remove_cold(item.object_key))

    def _finish(self, items: Sequence[MediaItem], states: Mapping[str, Storage], tally: "_Tally") -> None:
        cooling = [each for each in items if states.get(each.object_key) == "cooling"]
        deleting = [each for each in items if states.get(each.object_key) == "deleting"]
        cooled = tally.each(cooling, lambda item: self.store.remove_hot(item.object_key))
        deleted = tally.each(deleting, lambda item: self.store.remove(item.object_key))
        if settled := _keys([*cooled, *deleted]):
            self.transactions(lambda media: media.settle(settled))
        tally.cold_moved += len(cooled)
        tally.orphaned_deleted += len(deleted)

    def _unfinished(self, after: str | None) -> list[MediaItem]:
        self.run.checkpoint()
        return self.transactions(lambda media: media.unfinished(after, BATCH_ITEMS))

    def _orphans(self, after: MediaItem | None) -> list[MediaItem]:
        self.run.checkpoint()
        return self.transactions(lambda media: media.orphans(self._unreferenced, after, BATCH_ITEMS))

    def _unseen(self, after: MediaItem | None) -> list[MediaItem]:
        self.run.checkpoint()
        return self.transactions(lambda media: media.unseen(self._unlooked, after, BATCH_ITEMS))

    def _condemn(self, items: Sequence[MediaItem]) -> set[str]:
        return self.transactions(lambda media: media.condemn(_keys(items), self._unreferenced))

    def _cool(self, items: Sequence[MediaItem]) -> Mapping[str, Storage]:
        return self.transactions(lambda media: media.cool(_keys(items), self._unlooked))

    @property
    def _unreferenced(self) -> timedelta:
        return timedelta(days=self.limits.orphan_media_days)

    @property
    def _unlooked(self) -> timedelta:
        return timedelta(days=self.limits.cold_media_days)


class _Tally:
    """Handles items many at once, and remembers what came of them."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._failures: list[MediaFailure] = []
        self._failed = 0
        self.cold_moved = 0
        self.orphaned_deleted = 0

    def each(self, items: Sequence[MediaItem], act: Callable[[MediaItem], None]) -> list[MediaItem]:
        """Do it to every item; those it worked for."""
        doing = {self._threads.submit(act, item): item for item in items}
        left = set(doing)
        while left:
            # In short looks: an interrupt reaches Python code, never a wait without end.
            _, left = wait(left, timeout=LOOK_S)
        failures = {item.object_key: done.exception() for done, item in doing.items()}
        for item in items:
            if error := failures[item.object_key]:
                self._note(item, error)
        return [item for item in items if failures[item.object_key] is None]

    def report(self) -> CleanupReport:
        return CleanupReport(
            cold_moved=self.cold_moved,
            orphaned_deleted=self.orphaned_deleted,
            failed=self._failed,
            errors=tuple(self._failures),
        )

    def _note(self, item: MediaItem, error: BaseException) -> None:
        self._failed += 1
        if len(self._failures) == MAX_REPORTED:
            return
        self._failures.append(
            MediaFailure(
                media_id=item.media_id,
                category=error.category if isinstance(error, JobError) else "unknown",
                message=_message_of(error)[:MAX_MESSAGE_CHARS],
            )
        )


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(ITEMS_AT_ONCE, thread_name_prefix="media-cleanup")
    try:
        yield threads
    finally:
        # After an interrupt: what has not begun never does, what has is bounded by the store's own time-outs, and
        # may end whenever it wants, since each step may be repeated.
        threads.shutdown(wait=False, cancel_futures=True)


def _message_of(error: BaseException) -> str:
    # What others raise may say anything, a credential too.
    return str(error) if isinstance(error, JobError) else f"a fault of the program ({type(error).__name__})"


def _keys(items: Sequence[MediaItem]) -> list[str]:
    return [each.object_key for each in items]
