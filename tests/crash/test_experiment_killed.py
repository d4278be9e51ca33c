"""`experiment_start`, killed after each step."""

from collections.abc import Sequence
from uuid import uuid4

from adapters.database.tables import audit_log, experiment_runs, experiment_variants, experiments
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import new_domain, new_org, put, rows


def test_an_experiment_starts_whole_and_once(worlds: Sequence[Slot]) -> None:
    """Status, run and audit row are all there or none is; afterwards the one run is this job's."""
    steps = kill_everywhere(worlds, "experiment_start", _prepare)

    assert steps.count("Connection.commit") >= 1
    assert len(steps) > 10


def _prepare(world: Slot) -> Case:
    engine = world.engine
    org_id = new_org(engine)
    domain_id, experiment_id = new_domain(engine, org_id), uuid4()
    mine = {"org_id": org_id, "experiment_id": experiment_id}
    put(
        engine,
        experiments,
        {"org_id": org_id, "id": experiment_id, "domain_id": domain_id, "name": "A", "status": "ready"},
    )
    for name in ("a", "b"):
        put(engine, experiment_variants, {**mine, "id": uuid4(), "name": name})

    def written() -> tuple[str, list[str], int]:
        (experiment,) = rows(engine, experiments, experiments.c.id == experiment_id)
        runs = rows(engine, experiment_runs, experiment_runs.c.experiment_id == experiment_id)
        reported = rows(engine, audit_log, audit_log.c.org_id == org_id)
        return experiment["status"], [run["status"] for run in runs], len(reported)

    def half_way() -> None:
        assert written() in (("ready", [], 0), ("running", ["running"], 1))

    def afterwards() -> None:
        assert written() == ("running", ["running"], 1)

    payload = {"org_id": str(org_id), "experiment_id": str(experiment_id), "triggered_by": "a test"}
    return Case(payload, half_way, afterwards)
