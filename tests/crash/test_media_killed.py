"""`media_cleanup`, killed after each step."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from adapters.database.tables import content_items, media_assets, media_references
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_domain, new_org, put, rows


def test_no_media_file_is_lost_or_left_behind(worlds: Sequence[Slot]) -> None:
    """Whenever the worker dies each file that content shows is where its row says, or in both stores; afterwards what
    is unseen is cold, what is an orphan is gone, and what is in use has not moved."""
    steps = kill_everywhere(worlds, "media_cleanup", _prepare)

    assert {"obstore.put", "obstore.delete", "Connection.commit"} <= set(steps)


def _prepare(world: Slot) -> Case:
    engine = world.engine
    org_id = new_org(engine)
    domain_id, content_id = new_domain(engine, org_id), uuid4()
    put(
        engine,
        content_items,
        {
            "org_id": org_id,
            "id": content_id,
            "domain_id": domain_id,
            "title": "Shows them",
            "content_type": "article",
            "status": "draft",
        },
    )
    long_ago = datetime.now(UTC) - timedelta(days=100)
    used, unseen, orphan = (f"{org_id}/{name}.png" for name in ("used", "unseen", "orphan"))
    hot, cold = world.home / "media", world.home / "cold"
    (hot / str(org_id)).mkdir(parents=True)
    for key in (used, unseen, orphan):
        (hot / key).write_text(key)
        media_id = uuid4()
        asset = {
            "org_id": org_id,
            "id": media_id,
            "domain_id": domain_id,
            "object_key": key,
            "media_type": "image/png",
            "size_bytes": len(key),
            "storage": "hot",
            "last_referenced_at": long_ago,
        }
        put(engine, media_assets, asset if key == used else {**asset, "last_accessed_at": long_ago})
        if key != orphan:
            put(engine, media_references, {"org_id": org_id, "media_id": media_id, "content_id": content_id})

    def states() -> dict[str, str]:
        found = rows(engine, media_assets, media_assets.c.org_id == org_id)
        return {row["object_key"]: row["storage"] for row in found}

    def half_way() -> None:
        now = states()
        assert (hot / used).read_text() == used
        # Wherever its row says it may be found.
        assert (hot / unseen).exists() or now[unseen] != "hot"
        assert (cold / unseen).exists() or now[unseen] != "cold"
        assert (hot / unseen).exists() or (cold / unseen).read_text() == unseen
        # A file that is gone has no row that anybody could still refer to.
        assert (hot / orphan).exists() or now.get(orphan, "deleting") == "deleting"

    def afterwards() -> None:
        assert states() == {used: "hot", unseen: "cold"}
        assert (hot / used).exists()
        assert not (hot / unseen).exists()
        assert (cold / unseen).read_text() == unseen
        assert not (hot / orphan).exists()
        assert not (cold / orphan).exists()

    return Case(None, half_way, afterwards)
