"""Row 12: `media_cleanup`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from .platform import Org, Platform, Row

#: More than one batch.
UNSEEN = 120
ORPHANS = 5


def _asset(org: Org, *, accessed_days_ago: int, referenced_days_ago: int = 0) -> Row:
    now = datetime.now(UTC)
    return org.row(
        object_key=f"{org.id}/{uuid4()}.png",
        media_type="image/png",
        size_bytes=3,
        storage="hot",
        last_accessed_at=now - timedelta(days=accessed_days_ago),
        last_referenced_at=now - timedelta(days=referenced_days_ago),
    )


def _files(folder: Path, org: Org) -> set[str]:
    return {f"{org.id}/{path.name}" for path in (folder / org.id).glob("*")}


def test_unseen_media_goes_cold_orphans_go_and_the_rest_stays(platform: Platform, org: Org) -> None:
    """After 30 days without a look a file is in cold storage, after 7 without a reference it is gone; both to the day.

    More than a batch is handled in one run, and a file that is missing stops none of the others. The job has five
    minutes.

    Seen red with the comparison of the last access with the 30 days (`adapters/database/media.py`) left out: what was
    seen yesterday went cold.
    """
    shown = org.row(title="A post", content_type="article", status="draft")
    platform.insert("content_items", shown)
    unseen = [_asset(org, accessed_days_ago=31) for _ in range(UNSEEN)]
    orphans = [_asset(org, accessed_days_ago=1, referenced_days_ago=8) for _ in range(ORPHANS)]
    kept = [_asset(org, accessed_days_ago=29), _asset(org, accessed_days_ago=1, referenced_days_ago=6)]
    missing = _asset(org, accessed_days_ago=40)
    platform.insert("media_assets", *unseen, *orphans, *kept, missing)
    platform.insert(
        "media_references",
        *(
            {"org_id": org.id, "media_id": each["id"], "content_id": shown["id"]}
            for each in [*unseen, missing]
        ),
    )
    hot, cold = platform.home / "media", platform.home / "cold"
    (hot / org.id).mkdir(parents=True)
    for each in (*unseen, *orphans, *kept):
        (hot / each["object_key"]).write_bytes(b"png")

    job = platform.send("media_cleanup")
    report = platform.result_of(job)

    def keys(assets: list[Row]) -> set[str]:
        return {each["object_key"] for each in assets}

    assert _files(hot, org) == keys(kept)
    assert _files(cold, org) == keys(unseen)
    rows = platform.sql("SELECT object_key, storage FROM media_assets WHERE org_id = %s", org.id)
    states = {each["object_key"]: each["storage"] for each in rows}
    assert states == {
        **dict.fromkeys(keys(unseen), "cold"),
        **dict.fromkeys(keys(kept), "hot"),
        missing["object_key"]: "hot",
    }
    assert report["cold_moved"] >= UNSEEN
    assert report["orphaned_deleted"] >= ORPHANS
    assert missing["id"] in {each["media_id"] for each in report["errors"]}
    known = {each["variable"]: each["value"] for each in platform.run("settings", "--json").json()}
    assert known["PRESSROOM_JOB_TIMEOUT_MS"] == 300_000
