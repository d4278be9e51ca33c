"""Row 3: `feedback_ingest`."""

import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from .platform import Org, Platform, Row
from .remote import Reply, Request, remote

SYNCED = 30
#: Entities that one job works on at once.
AT_ONCE = 10


def _event(days_ago: int, rating: int) -> Row:
    when = datetime.now(UTC) - timedelta(days=days_ago)
    return {"event_id": str(uuid4()), "rating": rating, "occurred_at": when.isoformat()}


def _job(org: Org, source: str, *entities: Row) -> Row:
    now = datetime.now(UTC).isoformat()
    return {"org_id": org.id, "source": source, "entities": list(entities), "timestamp": now}


def test_feedback_is_counted_once_over_three_windows_and_a_source_that_fails_in_part_is_reported(
    platform: Platform, org: Org
) -> None:
    """Each event counts once in windows of 7, 30 and 90 days; a hundred entities are the most that one job carries.

    The source is asked over HTTP for ten entities at once at most. The one that it refuses is named, the others are
    done.

    Seen red with a fresh id for each event that is stored (`adapters/database/feedback.py`): what came twice counted
    twice.
    """
    events = [_event(3, 5), _event(20, 1), _event(60, 3), _event(100, 5)]
    sent = {"id": "post-1", "type": "content", "data": events}
    crowd = threading.Event()

    def source(request: Request) -> Reply:
        (entity,) = parse_qs(urlsplit(request.path).query)["entity_id"]
        if service.most_in_flight >= AT_ONCE:
            crowd.set()
        crowd.wait(20)
        if entity == "synced-7":
            return Reply(401)
        return Reply(200, {"events": [_event(1, 5)], "next_cursor": None})

    port = urlsplit(platform.environment["PRESSROOM_FEEDBACK_SOURCE_URL"]).port or 0
    with remote(source, port=port) as service:
        pulled = platform.send(
            "feedback_ingest",
            _job(org, "sync", *({"id": f"synced-{n}", "type": "user"} for n in range(SYNCED))),
        )
        twice = [platform.send("feedback_ingest", _job(org, "api", sent)) for _ in range(2)]
        refused = platform.refusal(
            "feedback_ingest", _job(org, "api", *({**sent, "id": f"post-{n}"} for n in range(101)))
        )
        results = [platform.result_of(each) for each in twice]
        synced = platform.result_of(pulled)

    assert [(each["processed"], each["failed"]) for each in results] == [(1, 0)] * 2
    windows = platform.sql(
        'SELECT window_days, positive, negative, neutral, "count" FROM feedback_metrics'
        " WHERE org_id = %s AND entity_id = 'post-1' ORDER BY 1",
        org.id,
    )
    assert [tuple(each.values()) for each in windows] == [
        (7, 1, 0, 0, 1),
        (30, 1, 1, 0, 2),
        (90, 1, 1, 1, 3),
    ]
    assert "entities" in refused
    assert (synced["processed"], synced["failed"]) == (SYNCED - 1, 1)
    assert [(each["id"], each["category"]) for each in synced["errors"]] == [("synced-7", "auth")]
    assert service.most_in_flight == AT_ONCE
    counted = platform.sql(
        "SELECT DISTINCT entity_id FROM feedback_metrics WHERE org_id = %s AND entity_type = 'user'", org.id
    )
    assert len(counted) == SYNCED - 1
