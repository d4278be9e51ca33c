"""Row 11: `content_scheduler`."""

import threading
from datetime import UTC, datetime, timedelta

from .platform import Org, Platform, until
from .remote import Reply, Request, remote

DUE = 15
#: Publishes of one run in flight at once; the worker has more threads.
AT_ONCE = 5


def test_what_is_due_is_published_once_and_five_at_a_time(platform: Platform, org: Org) -> None:
    """Fifteen posts whose time has come reach the site once each, five at once; one of tomorrow stays where it is.

    A post whose domain has nowhere to publish has failed, and stops none of the others. The scheduler is started each
    minute by itself, and may be sent any number of times.

    Seen red with the concurrency key of the scheduler's jobs (`adapters/database/scheduling.py`) left out: eight at
    once.
    """
    now, crowd, never = datetime.now(UTC), threading.Event(), threading.Event()
    keys: list[str] = []

    def site(request: Request) -> Reply:
        keys.append(request.headers["Idempotency-Key"])
        # All that may come at once are there before the first is answered, and whoever may not has time to come.
        if hook.most_in_flight >= AT_ONCE:
            crowd.set()
        crowd.wait(20)
        never.wait(0.2)
        return Reply(200)

    def due(whose: Org, title: str, at: datetime) -> dict[str, object]:
        return whose.row(title=title, content_type="article", status="scheduled", publish_at=at)

    nowhere = platform.new_org()
    with remote(site) as hook:
        target = ("--name", "Site", "--adapter", "webhook", "--address", hook.url)
        mine = ("--org", org.id, "--domain", org.domain_id, "--reason", "new", "--json")
        platform.start(
            "targets", "add", *target, *mine, stdin='{"secret": "a secret of a webhook"}'
        ).ended().json()
        hour = timedelta(hours=1)
        platform.insert(
            "content_items",
            *(due(org, f"Post {number}", now - hour) for number in range(DUE)),
            due(org, "Tomorrow", now + 24 * hour),
            due(nowhere, "Nowhere", now - hour),
        )
        for _ in range(2):
            platform.result_of(platform.send("content_scheduler"))

        def states(whose: Org) -> list[tuple[str, int]]:
            rows = platform.sql(
                "SELECT status, count(*) FROM content_items WHERE org_id = %s GROUP BY 1 ORDER BY 1", whose.id
            )
            return [(each["status"], each["count"]) for each in rows]

        until(lambda: states(org) == [("published", DUE), ("scheduled", 1)], "all that is due to be public")

    assert len(keys) == len(set(keys)) == DUE
    assert hook.most_in_flight == AT_ONCE
    assert states(nowhere) == [("failed", 1)]
    built_in = platform.run("schedule", "list", "--operator", "--reason", "row 11")
    assert "content_scheduler" in built_in.out
