"""`feedback_ingest`, killed after each step."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from adapters.database.tables import feedback_events, feedback_metrics
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_org, rows

#: Entities of one job, with the ages in days of what was said about each.
AGES = {"one": (1, 20, 60), "two": (2,), "three": (40, 50)}
WINDOWS = (7, 30, 90)


def test_feedback_is_counted_whole_and_once(worlds: Sequence[Slot]) -> None:
    """The windows are written all together or not at all, and afterwards say what the events say."""
    steps = kill_everywhere(worlds, "feedback_ingest", _prepare)

    assert steps.count("Connection.commit") > len(AGES)


def _prepare(world: Slot) -> Case:
    engine = world.engine
    org_id, now = new_org(engine), datetime.now(UTC)
    expected = {
        (entity, window): sum(age <= window for age in ages)
        for entity, ages in AGES.items()
        for window in WINDOWS
    }

    def counted() -> dict[tuple[str, int], int]:
        found = rows(engine, feedback_metrics, feedback_metrics.c.org_id == org_id)
        return {(row["entity_id"], row["window_days"]): row["count"] for row in found}

    def half_way() -> None:
        assert counted() in ({}, expected)

    def afterwards() -> None:
        assert counted() == expected
        events = rows(engine, feedback_events, feedback_events.c.org_id == org_id)
        assert Counter(event["entity_id"] for event in events) == {
            name: len(ages) for name, ages in AGES.items()
        }

    entities = [
        {
            "id": entity,
            "type": "content",
            "data": [
                {
                    "event_id": f"{entity}-{age}",
                    "rating": 5,
                    "occurred_at": (now - timedelta(days=age) + timedelta(hours=1)).isoformat(),
                }
                for age in ages
            ],
        }
        for entity, ages in AGES.items()
    ]
    payload = {
        "org_id": str(org_id),
        "source": "api",
        "entities": entities,
        "timestamp": now.isoformat(),
    }
    return Case(payload, half_way, afterwards)
