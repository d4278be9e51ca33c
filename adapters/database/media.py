"""Media as the clean-up sees it, in PostgreSQL: every org's, found by object key."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from sqlalchemy import Column, ColumnElement, Select, and_, delete, func, select, tuple_, update

from domain.media_cleanup import MediaItem, Storage

from .tables import media_assets, media_references
from .unit_of_work import SystemUnitOfWork


class SqlMedia:
    """`domain.media_cleanup.MediaRepository` within one unit of work of the system role.

    Parameters:
        unit: the transaction.

    Example:
        >>> SqlSystemTransactions(engine, SqlMedia, run.remaining_s)
    """

    def __init__(self, unit: SystemUnitOfWork) -> None:
        self._connection = unit.connection

    def unfinished(self, after: str | None, limit: int) -> list[MediaItem]:
        """What is `cooling` or `deleting`, by object key, after the key `after`."""
        query = _items(media_assets.c.last_accessed_at).where(
            media_assets.c.storage.in_(("cooling", "deleting"))
        )
        if after is not None:
            query = query.where(media_assets.c.object_key > after)
        return self._read(query.order_by(media_assets.c.object_key), limit)

    def orphans(self, unreferenced: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        """Media without a reference for so long and not `deleting`, the longest first, those after `after`."""
        condition = and_(media_assets.c.storage != "deleting", _is_orphan(unreferenced))
        return self._page(media_assets.c.last_referenced_at, condition, after, limit)

    def unseen(self, unseen: timedelta, after: MediaItem | None, limit: int) -> list[MediaItem]:
        """`hot` media without access for so long, the longest first, those after `after`."""
        return self._page(media_assets.c.last_accessed_at, _is_unseen(unseen), after, limit)

    def condemn(self, object_keys: Collection[str], unreferenced: timedelta) -> set[str]:
        """Make those that are orphans still `deleting`; all of the keys that are `deleting` afterwards.

        Two statements, because the second one sees what was committed before the first one had its locks: a new
        reference is either seen, or waits for them and is refused.
        """
        these = media_assets.c.object_key.in_(object_keys)
        self._connection.execute(
            select(media_assets.c.id).where(these).order_by(media_assets.c.object_key).with_for_update()
        )
        self._connection.execute(
            update(media_assets).where(these, _is_orphan(unreferenced)).values(storage="deleting")
        )
        doomed = select(media_assets.c.object_key).where(these, media_assets.c.storage == "deleting")
        return set(self._connection.scalars(doomed))

    def cool(self, object_keys: Collection[str], unseen: timedelta) -> Mapping[str, Storage]:
        """Make those that are `hot` and unseen still `cooling`; what each of the keys is afterwards, if anything."""
        these = media_assets.c.object_key.in_(object_keys)
        self._connection.execute(
            update(media_assets)
            .where(these, _is_unseen(unseen))
            .values(storage="cooling", cold_at=func.now())
        )
        rows = self._connection.execute(
            select(media_assets.c.object_key, media_assets.c.storage).where(these)
        )
        return {row.object_key: row.storage for row in rows}

    def settle(self, object_keys: Collection[str]) -> None:
        """Their copies are removed: make those that are `cooling` `cold`, and delete rows that are `deleting`."""
        these, storage = media_assets.c.object_key.in_(object_keys), media_assets.c.storage
        self._connection.execute(
            update(media_assets).where(these, storage == "cooling").values(storage="cold")
        )
        self._connection.execute(delete(media_assets).where(these, storage == "deleting"))

    def _page(
        self,
        since: "Column[object]",
        condition: ColumnElement[bool],
        after: MediaItem | None,
        limit: int,
    ) -> list[MediaItem]:
        query = _items(since).where(condition).order_by(since, media_assets.c.id)
        if after is not None:
            query = query.where(tuple_(since, media_assets.c.id) > (after.since, after.media_id))
        return self._read(query, limit)

    def _read(self, query: "Select[tuple[object, ...]]", limit: int) -> list[MediaItem]:
        rows = self._connection.execute(query.limit(limit)).mappings()
        return [MediaItem(**row) for row in rows]


def _items(since: "Column[object]") -> "Select[tuple[object, ...]]":
    media = media_assets.c
    return select(
        media.id.label("media_id"), media.object_key, media.media_type, media.storage, since.label("since")
    )


def _is_orphan(unreferenced: timedelta) -> ColumnElement[bool]:
    media, references = media_assets.c, media_references.c
    shown = select(1).where(references.org_id == media.org_id, references.media_id == media.id)
    return and_(media.last_referenced_at <= func.now() - unreferenced, ~shown.exists())


def _is_unseen(unseen: timedelta) -> ColumnElement[bool]:
    return and_(media_assets.c.storage == "hot", media_assets.c.last_accessed_at <= func.now() - unseen)
