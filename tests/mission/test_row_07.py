"""Row 7: the scheduler: broker, guards and control."""

import json
import threading
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

    enqueued, added = (
        each.json()
        for each in platform.run_all(
            ["jobs", "enqueue", "domain_export", json.dumps(export), "--delay-ms", str(LATER_MS), *why],
            ["schedule", "add", "report", "feedback_ingest", "0 8 * * mon", json.dumps(_feedback()), *why],
        )
    )
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

    paused = run("orgs", "pause", *why)

    # Not due before workers know of the pause.
    held = platform.send("feedback_ingest", {**_feedback(), "org_id": org.id}, delay=5_000)

    def is_held() -> bool:
        return bool(run("jobs", "why", held, *mine)["cause"] == "paused")

    until(is_held, "the pause to hold the org's jobs back")
    by_filter = [platform.send("domain_export", export) for _ in range(2)]
    waiting, foreign, shown, _, stopped = (
        each.json()
        for each in platform.run_all(
            ["jobs", "waiting", *mine],
            ["jobs", "list", "--org", platform.new_org().id, "--json"],
            ["jobs", "show", failing, *mine],
            ["jobs", "cancel", "--all", "--actor", "domain_export", *why],
            ["schedule", "pause", added["id"], *why],
        )
    )
    # Workers look once a second what was cancelled.
    threading.Event().wait(2.5)
    run("orgs", "resume", *why)
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
    assert paused["org"] == org.id
    assert foreign == []
    assert (shown["state"], len(shown["attempts"])) == ("failed", 1)
    assert shown["dead_letter_id"]
    assert stopped["paused"] is True
    assert cancelled == ["cancelled"] * 2
    assert (cleaned["dropped"], left) == (1, [])
    assert done["result"]["processed"] == result["processed"] == 1
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
