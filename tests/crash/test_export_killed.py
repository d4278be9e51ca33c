"""`domain_export`, killed after each step."""

import json
from collections.abc import Sequence
from uuid import uuid4

from adapters.database.tables import content_items, domain_exports
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_domain, new_org, put, rows

ITEMS = 3


def test_an_export_is_there_whole_or_not_at_all(worlds: Sequence[Slot]) -> None:
    """Whenever the worker dies there is the whole file or none; afterwards the one, and one row that says so."""
    steps = kill_everywhere(worlds, "domain_export", _prepare)

    assert steps.count("Connection.commit") >= 3


def _prepare(world: Slot) -> Case:
    engine = world.engine
    org_id = new_org(engine)
    domain_id = new_domain(engine, org_id)
    item = {"org_id": org_id, "domain_id": domain_id, "content_type": "article", "status": "draft"}
    put(
        engine,
        content_items,
        *({**item, "id": uuid4(), "title": f"Item {number}"} for number in range(ITEMS)),
    )
    folder = world.home / "exports" / str(org_id)

    def is_there() -> bool:
        # Half-written ones have names of their own.
        path = folder / "site.json"
        return path.exists() and len(json.loads(path.read_text())["content"]) == ITEMS

    def half_way() -> None:
        assert is_there() or not (folder / "site.json").exists()

    def afterwards() -> None:
        assert is_there()
        assert [path.name for path in folder.iterdir()] == ["site.json"]
        (row,) = rows(engine, domain_exports, domain_exports.c.org_id == org_id)
        assert (row["status"], row["row_count"]) == ("completed", ITEMS)

    payload = {
        "org_id": str(org_id),
        "domain_id": str(domain_id),
        "format": "json",
        "destination": {"type": "local", "path": "site.json"},
    }
    return Case(payload, half_way, afterwards)
