"""An event that breaks a rule is left out and told; the page that it is on, and the pages after it, are taken in.

What real sources have: a number as id, Unix seconds, a comment of 5,000 characters, a zero character, "POSITIVE", a
local time without zone. If it ended the sync, nothing behind it would be counted until it is out of the longest window.

Right: numbers are taken for ids, events that cannot be used are left out, counted and told. A page that is no page
stays an InvalidReply.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import json
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from adapters.feedback_source import HttpFeedbackSource
from adapters.net.http import HttpExchange
from domain.feedback import Entity, FeedbackPage, FeedbackQuery
from tests.cases.http_servers import Reply, http_server
from tests.cases.kit import in_short, outcome, verdict

GOOD = {"event_id": "e1", "rating": 5, "occurred_at": "2026-11-01T10:00:00Z"}

CHANGES: dict[str, dict[str, object]] = {
    "all good": {},
    "a number as id": {"event_id": 12345},
    "Unix seconds": {"occurred_at": 1793527200},
    "no time zone": {"occurred_at": "2026-11-01T10:00:00"},
    "a long comment": {"comment": "x" * 4_001},
    "a zero character": {"comment": "a\x00b"},
    "a rating of 0": {"rating": 0},
    "POSITIVE": {"sentiment": "POSITIVE"},
}


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for name, change in CHANGES.items():
        events = [GOOD, {**GOOD, "event_id": "e2", **change}, {**GOOD, "event_id": "e3"}]
        found = outcome(lambda events=events: _page(events))  # type: ignore[misc]
        if isinstance(found, Exception):
            print(f"{name:18} {in_short(found)}")
            faults.append(name)
            continue
        print(f"{name:18} {len(found.events)} events, next page {found.next_cursor!r}")
        if not {"e1", "e3"} <= {each.event_id for each in found.events}:
            faults.append(name)
    return faults


def _page(events: list[dict[str, object]]) -> FeedbackPage:
    page = json.dumps({"events": events, "next_cursor": "more"}).encode()
    with http_server(lambda _request: Reply(body=page)) as address, httpx.Client() as client:
        source = HttpFeedbackSource(
            HttpExchange(client, now=lambda: datetime.now(UTC), retries=0), base_url=address, token=None
        )
        query = FeedbackQuery(
            org_id=uuid4(), entity=Entity("content", "p1"), since=datetime(2026, 9, 1, tzinfo=UTC)
        )
        return source.events(query, timeout_s=5)


if __name__ == "__main__":
    verdict(main)
