"""`database_maintenance`, killed after each step."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from adapters.database.tables import domain_exports, idempotency_keys
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_domain, new_org, put, rows


def test_what_is_past_its_time_goes_and_nothing_else(worlds: Sequence[Slot]) -> None:
    """Whenever the worker dies no file is left without a row that leads to it; afterwards the old is gone, the rest is
    as it was."""
    steps = kill_everywhere(worlds, "database_maintenance", _prepare)

    assert steps.count("Connection.commit") >= 3


def _prepare(world: Slot) -> Case:
    engine, now = world.engine, datetime.now(UTC)
    org_id = new_org(engine)
    domain_id = new_domain(engine, org_id)
    folder = world.home / "exports" / str(org_id)
    folder.mkdir(parents=True)
    ages = {"old.json": now - timedelta(hours=1), "new.json": now + timedelta(hours=1)}
    for name, expires_at in ages.items():
        export_id = uuid4()
        key = {"org_id": org_id, "job_type": "test", "key": name, "holder": uuid4(), "expires_at": expires_at}
        put(engine, idempotency_keys, key)
        # A file says whose export it is; another's under the same name would be left alone.
        (folder / name).write_text(json.dumps({"export_version": 1, "export_id": str(export_id)}))
        put(
            engine,
            domain_exports,
            {
                "org_id": org_id,
                "id": export_id,
                "domain_id": domain_id,
                "written_for": org_id,
                "format": "json",
                "destination": "local",
                "status": "completed",
                "location": f"{org_id}/{name}",
                "data_version": 1,
                "finished_at": now - timedelta(days=1),
                "expires_at": expires_at,
            },
        )

    def listed() -> list[str]:
        found = rows(engine, domain_exports, domain_exports.c.org_id == org_id)
        return sorted(row["location"].rpartition("/")[2] for row in found)

    def half_way() -> None:
        assert {path.name for path in folder.iterdir()} <= set(listed())
        assert (folder / "new.json").exists()

    def afterwards() -> None:
        assert listed() == ["new.json"]
        assert [path.name for path in folder.iterdir()] == ["new.json"]
        keys = rows(engine, idempotency_keys, idempotency_keys.c.org_id == org_id)
        assert [key["key"] for key in keys] == ["new.json"]

    return Case(None, half_way, afterwards)
