"""Row 14: dead letters."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from .platform import Org, Platform, Row, until

LETTERS = 5


def test_dead_letters_are_kept_by_org_paged_counted_repaired_replayed_and_purged(
    platform: Platform, org: Org
) -> None:
    """Jobs that failed for good are kept whole with their category, for their org alone, until somebody decides.

    One is sent again once what it missed is there, and succeeds; another with a payload that was put right, checked
    against the contract. One is deleted, the old ones are purged.

    Seen red with an org's box opened for every org (`adapters/database/dead_letters.py`): another org saw them.
    """
    domain, mine = str(uuid4()), ("--org", org.id, "--json")
    why, stranger = (*mine, "--reason", "row 14"), platform.new_org()
    lost = {**org.job(format="json"), "domain_id": domain}
    jobs = [platform.send("domain_export", lost) for _ in range(LETTERS)]
    for each in jobs:
        assert platform.end_of(each)["outcome"] == "failed"

    def kept() -> list[Row]:
        found = platform.sql("SELECT * FROM publishing_dlq WHERE org_id = %s ORDER BY created_at, id", org.id)
        return found if len(found) == LETTERS else []

    letters = until(kept, "the dead letters")
    platform.sql(
        "UPDATE publishing_dlq SET created_at = %s WHERE id = ANY(%s)",
        datetime.now(UTC) - timedelta(days=40),
        [each["id"] for each in letters[:2]],
    )
    first, others, none, shown, counts = (
        each.json()
        for each in platform.run_all(
            ["dlq", "list", "--limit", "2", *mine],
            ["dlq", "list", "--org", stranger.id, "--json"],
            ["dlq", "list", "--category", "network", *mine],
            ["dlq", "show", str(letters[2]["id"]), *mine],
            ["dlq", "stats", *mine],
        )
    )
    (rest,) = (
        each.json() for each in platform.run_all(["dlq", "list", "--after", first[-1]["cursor"], *mine])
    )

    by_age = [str(each["id"]) for each in letters]
    refused = platform.start("dlq", "edit", by_age[3], "-", *why, stdin='{"format": "csv"}').ended()
    right = {**org.job(format="csv")}
    fixed = platform.start("dlq", "edit", by_age[3], "-", *why, stdin=_json(right)).ended().json()
    row = {"org_id": org.id, "id": domain, "host": f"{domain}.example"}
    platform.insert("domain_registry", row)
    again, purged, deleted = (
        each.json()
        for each in platform.run_all(
            ["dlq", "retry", by_age[2], *why],
            ["dlq", "purge", "--older-than", "30d", *why],
            ["dlq", "delete", by_age[4], *why],
        )
    )

    assert {(each["error_category"], each["message_id"] in jobs) for each in letters} == {
        ("validation", True)
    }
    assert letters[0]["payload"]["args"][0]["domain_id"] == domain
    assert {each["id"] for each in (*first, *rest)} == set(by_age)
    assert len(first) == 2
    assert (others, none) == ([], [])
    assert shown["category"] == "validation"
    assert "args" in _json(shown)
    assert LETTERS in counts["category"].values(), counts
    assert refused.code == 1
    assert platform.result_of(fixed["message_id"])["rows"] == 0
    assert platform.result_of(again["message_id"])["rows"] == 0
    assert (purged["purged"], deleted["deleted"]) == (2, by_age[4])
    left = platform.sql("SELECT id, replayed_as FROM publishing_dlq WHERE org_id = %s", org.id)
    assert {str(each["id"]): each["replayed_as"] for each in left} == {
        by_age[2]: again["message_id"],
        by_age[3]: fixed["message_id"],
    }


def _json(value: Row) -> str:
    return json.dumps(value)
