"""`content_scheduler`, killed after each step."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from dramatiq import Message

from adapters.database.tables import content_items, outbox, publish_intents, publish_targets
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_domain, new_org, put, rows

DUE = 3


def test_due_content_is_scheduled_whole_and_once(worlds: Sequence[Slot]) -> None:
    """Status, intents and messages are all there or none is; afterwards each item has one intent and one message."""
    steps = kill_everywhere(worlds, "content_scheduler", _prepare)

    assert steps.count("Connection.commit") >= 1
    assert len(steps) > 10


def _prepare(world: Slot) -> Case:
    engine = world.engine
    org_id = new_org(engine)
    domain_id = new_domain(engine, org_id)
    mine = {"org_id": org_id, "domain_id": domain_id}
    put(
        engine,
        publish_targets,
        {
            **mine,
            "id": uuid4(),
            "name": "Site",
            "adapter": "webhook",
            "address": "https://site.example/hook",
            "credentials": b"sealed",
        },
    )
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    due = {
        **mine,
        "title": "Due",
        "content_type": "article",
        "status": "scheduled",
        "publish_at": an_hour_ago,
    }
    put(engine, content_items, *({**due, "id": uuid4()} for _ in range(DUE)))

    def written() -> tuple[set[str], list[str], list[str]]:
        contents = rows(engine, content_items, content_items.c.org_id == org_id)
        intents = rows(engine, publish_intents, publish_intents.c.org_id == org_id)
        messages = [Message.decode(row["message"]) for row in rows(engine, outbox, outbox.c.org_id == org_id)]
        return (
            {row["status"] for row in contents},
            sorted(str(row["id"]) for row in intents),
            sorted(message.args[0]["intent_id"] for message in messages),
        )

    def is_whole() -> bool:
        statuses, intents, messages = written()
        return statuses == {"publishing"} and len(intents) == DUE and messages == intents

    def half_way() -> None:
        assert is_whole() or written() == ({"scheduled"}, [], []), written()

    def afterwards() -> None:
        assert is_whole(), written()

    return Case(None, half_way, afterwards)
