"""Media files: of three for each domain one is in use, one unseen for long, and one nothing shows."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import BytesIO
from uuid import uuid4

from sqlalchemy import delete, insert, select

from actors import media_cleanup
from adapters.database.tables import content_items, media_assets, media_references
from adapters.database.unit_of_work import UnitOfWork
from adapters.storage.object_store import ObjectStore, open_store
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.errors import NotFound

#: What becomes of each file.
FATES = {"used": "hot", "unseen": "cold", "orphan": None}


def send(stage: Stage) -> list[Sent]:
    """Put three files of each domain's in place, and have them cleaned up."""
    hot = _store(stage, "media")
    keys = {key: fate for site in stage.sites for key, fate in _fill(stage, site, hot).items()}
    look: Callable[[], Left] = partial(_look, stage, keys)
    return [sent(media_cleanup.send(), None, f"clean up {len(keys)} media files", look)]


def _fill(stage: Stage, site: Site, hot: ObjectStore) -> dict[str, str | None]:
    long_ago = stage.now - timedelta(days=2 * stage.settings.cold_media_days)
    filled = {}
    with UnitOfWork(stage.engine, site.org_id) as unit:
        of_site = media_assets.c.org_id == site.org_id, media_assets.c.domain_id == site.domain_id
        unit.connection.execute(delete(media_assets).where(*of_site))
        content_id = unit.connection.scalar(
            select(content_items.c.id).where(
                content_items.c.org_id == site.org_id, content_items.c.domain_id == site.domain_id
            )
        )
        for name, fate in FATES.items():
            # New keys in each run: what has gone to cold storage does not come back under its own.
            key, media_id = f"{site.org_id}/{uuid4()}-{name}.txt", uuid4()
            text = site.articles[0].body.encode()
            hot.put(key, BytesIO(text), {"Content-Type": "text/plain"})
            unit.connection.execute(
                insert(media_assets).values(
                    org_id=site.org_id,
                    id=media_id,
                    domain_id=site.domain_id,
                    object_key=key,
                    media_type="text/plain",
                    size_bytes=len(text),
                    storage="hot",
                    last_accessed_at=stage.now if name == "used" else long_ago,
                    last_referenced_at=long_ago,
                )
            )
            if name != "orphan":
                reference = {"org_id": site.org_id, "media_id": media_id, "content_id": content_id}
                unit.connection.execute(insert(media_references).values(reference))
            filled[key] = fate
    return filled


def _look(stage: Stage, keys: dict[str, str | None]) -> Left:
    found: dict[str, str | None] = dict.fromkeys(keys)
    for site in {site.org_id: site for site in stage.sites}.values():
        with UnitOfWork(stage.engine, site.org_id) as unit:
            rows = unit.connection.execute(
                select(media_assets.c.object_key, media_assets.c.storage).where(
                    media_assets.c.org_id == site.org_id, media_assets.c.object_key.in_(keys)
                )
            )
            found.update(dict(rows.tuples().all()))
    stores = {"hot": _store(stage, "media"), "cold": _store(stage, "cold")}
    wrong = [
        key
        for key, fate in keys.items()
        if found[key] != fate
        or {name for name, store in stores.items() if _has(store, key)} != {fate} - {None}
    ]
    fault = f"{len(wrong)} files are not where they should be: {wrong[0]}" if wrong else ""
    return Left(count=len(keys), where="media_assets, hot and cold storage", fault=fault)


def _store(stage: Stage, name: str) -> ObjectStore:
    return open_store((stage.settings.home.resolve() / name).as_uri())


def _has(store: ObjectStore, key: str) -> bool:
    try:
        store.size_bytes(key)
    except NotFound:
        return False
    return True
