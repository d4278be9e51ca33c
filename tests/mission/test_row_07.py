"""Row 7: the scheduler: broker, guards and control."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from .platform import Org, Platform, Row, until

#: An hour, so that nothing is started by waiting.
LATER_MS = 3_600_000


def test_jobs_are_delayed_repeated_cancelled_paused_cleaned_listed_and_explained(
    platform: Platform, org: Org
) -> None:
    """Everything that one may ask of the scheduler is asked on the command line by the org whose jobs they are.

    What waits keeps its actor's priority. What failed for good is a dead letter. Another org sees nothing of it.

    Seen red with every gate found open (`broker/lua/parts/gates.lua`): no pause ever held the job back.
    """
    mine = ("--org", org.id, "--json")
    why = (*mine, "--reason", "row 7")
    export = org.job(format="json")

    def run(*command: str) -> Row:
        answer: Row = platform.run(*command).json()
        return answer

    enqueued, paused, added = (
        each.json()
        for each in platform.run_all(
            ["jobs", "enqueue", "domain_export", json.dumps(export), "--delay-ms", str(LATER_MS), *why],
            ["queues", "pause", "--actor", "domain_export", *why],
            ["schedule", "add", "report", "feedback_ingest", "0 8 * * mon", json.dumps(_feedback()), *why],
        )
    )
    # Not due before every worker knows of the pause.
    held = platform.send("domain_export", export, delay=3_000)
    failing = platform.send("experiment_start", _unknown(org))
    platform.sql("UPDATE schedules SET next_due_at = now() WHERE id = %s", added["id"])
    (fired,) = until(
        lambda: platform.sql(
            "SELECT message_id FROM job_attempts WHERE org_id = %s AND actor = 'feedback_ingest'", org.id
        ),
        "the schedule to fire",
    )
    platform.result_of(fired["message_id"])
    platform.end_of(failing)

    def is_held() -> Row | None:
        answer = run("jobs", "why", held, *mine)
        return answer if answer["cause"] == "paused" else None

    explained = until(is_held, "the pause to hold the job back")
    by_filter = [
        platform.send("feedback_ingest", {**_feedback(), "org_id": org.id}, delay=7_000) for _ in range(2)
    ]
    waiting, foreign, shown, _, stopped = (
        each.json()
        for each in platform.run_all(
            ["jobs", "waiting", *mine],
            ["jobs", "list", "--org", platform.new_org().id, "--json"],
            ["jobs", "show", failing, *mine],
            ["jobs", "cancel", "--all", "--actor", "feedback_ingest", *why],
            ["schedule", "pause", added["id"], *why],
        )
    )
    run("queues", "resume", "--actor", "domain_export", *why)
    result = platform.result_of(held)
    cancelled = [platform.end_of(each)["outcome"] for each in by_filter]
    first, _, cleaned = (
        each.json()
        for each in platform.run_all(
            ["jobs", "list", "--limit", "2", *mine],
            ["schedule", "remove", added["id"], *why],
            ["queues", "clean", "exports", "--yes", *why],
        )
    )
    rest, left, done = (
        each.json()
        for each in platform.run_all(
            ["jobs", "list", "--limit", "20", "--after", first[-1]["cursor"], *mine],
            ["jobs", "waiting", *mine],
            ["jobs", "show", held, *mine],
        )
    )

    by_id = {each["message_id"]: each for each in waiting}
    assert {enqueued["job_id"], held, *by_filter} == set(by_id)
    assert (by_id[enqueued["job_id"]]["state"], by_id[enqueued["job_id"]]["priority"]) == ("delayed", 75)
    assert (paused["actor"], paused["org"]) == ("domain_export", org.id)
    assert explained["actor"] == "domain_export"
    assert foreign == []
    assert (shown["state"], len(shown["attempts"])) == ("failed", 1)
    assert shown["dead_letter_id"]
    assert stopped["paused"] is True
    assert cancelled == ["cancelled"] * 2
    assert (cleaned["dropped"], left) == (1, [])
    assert done["result"]["location"] == result["location"]
    pages = [each["id"] for each in (*first, *rest)]
    assert (len(first), len(set(pages))) == (2, len(pages))
    assert {held, failing, fired["message_id"]} <= set(pages)
    assert platform.sql("SELECT id FROM schedules WHERE org_id = %s", org.id) == []
    audited = platform.sql("SELECT action FROM audit_log WHERE org_id = %s", org.id)
    assert {"jobs.enqueue", "jobs.cancel_all", "queues.clean"} <= {each["action"] for each in audited}


def _unknown(org: Org) -> Row:
    return {"org_id": org.id, "experiment_id": str(uuid4()), "triggered_by": "ann"}


def _feedback() -> Row:
    event = {
        "event_id": "one",
        "rating": 5,
        "occurred_at": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
    }
    entity = {"id": "post-1", "type": "content", "data": [event]}
    return {"source": "api", "entities": [entity], "timestamp": datetime.now(UTC).isoformat()}
