"""The start of experiments on PostgreSQL: one run at a time, whoever asks, and all of it or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, RowMapping, Table, insert, select, update

from adapters.database.engine import create_engine
from adapters.database.experiments import SqlExperiments
from adapters.database.tables import audit_log, experiment_runs, experiment_variants, experiments
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from domain.errors import InvalidInput, NotFound
from domain.experiment_start import (
    ExperimentRepository,
    ExperimentStart,
    StartExperiment,
    StartOutcome,
)
from domain.ports import Transactions
from tests.databases import Database
from tests.domain.idea_fakes import FakeRun
from tests.tenants import Tenant

from .faults import LostCommits


@dataclass(frozen=True)
class Experiment:
    """One experiment of an org."""

    org_id: UUID
    id: UUID


NewExperiment = Callable[..., Experiment]


@pytest.fixture
def new_experiment(engine: Engine, tenant: Tenant) -> NewExperiment:
    """Makes experiments of one org, ready and with two variants unless told otherwise."""

    def make(variants: int = 2, of: Tenant = tenant, **fields: object) -> Experiment:
        experiment = Experiment(of.org_id, uuid4())
        row = {"name": "A test", "status": "ready", **fields}
        with UnitOfWork(engine, of.org_id) as unit:
            unit.connection.execute(
                insert(experiments).values(org_id=of.org_id, id=experiment.id, domain_id=of.domain_id, **row)
            )
            for number in range(variants):
                unit.connection.execute(
                    insert(experiment_variants).values(
                        org_id=of.org_id, id=uuid4(), experiment_id=experiment.id, name=f"Variant {number}"
                    )
                )
        return experiment

    return make


def test_a_start_sets_everything_at_once(engine: Engine, new_experiment: NewExperiment) -> None:
    """Status, time, metadata, the run and the line in the audit log."""
    experiment = new_experiment(metadata={"old": 1})
    run = a_run()

    assert start(engine, experiment, run, metadata={"new": [1.5, "ü"]}) == StartOutcome(
        status="started", run_id=run.job_id
    )

    [row] = rows(engine, experiment, experiments)
    assert (row["status"], row["metadata"]) == ("running", {"new": [1.5, "ü"]})
    assert row["started_at"] == row["updated_at"] > row["created_at"]
    [run_row] = rows(engine, experiment, experiment_runs)
    assert (run_row["id"], run_row["experiment_id"]) == (run.job_id, experiment.id)
    assert (run_row["status"], run_row["triggered_by"]) == ("running", "ann")
    assert run_row["metadata"] == {"new": [1.5, "ü"]}
    [proxy] = rows(engine, experiment, audit_log)
    assert (proxy["actor"], proxy["action"]) == ("ann", "experiment.start")
    assert proxy["target"] == f"experiment:{experiment.id}"
    assert proxy["before"] == {"status": "ready"}
    assert proxy["after"] == {"status": "running", "run_id": str(run.job_id), "metadata": "replaced"}


def test_old_metadata_stays_when_none_is_given(engine: Engine, new_experiment: NewExperiment) -> None:
    """And the run begins with it."""
    experiment = new_experiment(metadata={"old": 1})
    start(engine, experiment)

    assert rows(engine, experiment, experiments)[0]["metadata"] == {"old": 1}
    assert rows(engine, experiment, experiment_runs)[0]["metadata"] == {"old": 1}
    assert rows(engine, experiment, audit_log)[0]["after"]["metadata"] == "kept"


def test_empty_metadata_replaces(engine: Engine, new_experiment: NewExperiment) -> None:
    """It was given, and is empty."""
    experiment = new_experiment(metadata={"old": 1})
    start(engine, experiment, metadata={})

    assert rows(engine, experiment, experiments)[0]["metadata"] == {}


def test_the_longest_words_fit(engine: Engine, new_experiment: NewExperiment) -> None:
    """What the contract takes, the tables and the audit log take, in any script; old metadata of any size too."""
    metadata = {"a": "\U0001f600" * 8_000, "b": "\x01" * 20, "c": "'; --"}
    experiment = new_experiment(metadata={"old": "x" * 65_000})
    start(engine, experiment, triggered_by="\U0001f600" * 256, metadata=metadata)

    assert rows(engine, experiment, experiments)[0]["metadata"] == metadata
    assert rows(engine, experiment, audit_log)[0]["actor"] == "\U0001f600" * 256


def test_numbers_that_grow_too_long_are_refused_whole(engine: Engine, new_experiment: NewExperiment) -> None:
    """PostgreSQL writes 1e308 with all its digits; too many of them are a final error, and nothing is written."""
    experiment = new_experiment()

    with pytest.raises(InvalidInput, match="ck_experiments_metadata_size"):
        start(engine, experiment, metadata={"a": [1e308] * 1_000})
    assert rows(engine, experiment, experiments)[0]["status"] == "ready"


def test_of_ten_at_once_one_starts(engine: Engine, new_experiment: NewExperiment) -> None:
    """Ten jobs at the same moment: one `started`, nine `already_running` with its run, one run, one line."""
    experiment = new_experiment()
    together = Barrier(10, timeout=30)

    def job(run: FakeRun) -> StartOutcome:
        together.wait()
        return start(engine, experiment, run)

    with ThreadPoolExecutor(10) as threads:
        outcomes = list(threads.map(job, [a_run() for _ in range(10)]))

    assert sorted(outcome.status for outcome in outcomes) == ["already_running"] * 9 + ["started"]
    [run] = rows(engine, experiment, experiment_runs)
    assert {outcome.run_id for outcome in outcomes} == {run["id"]}
    assert len(rows(engine, experiment, audit_log)) == 1


def test_a_job_delivered_to_ten_workers_starts_once(engine: Engine, new_experiment: NewExperiment) -> None:
    """One job in ten hands at once: all say `started`, and there is one run."""
    experiment, run = new_experiment(), a_run()
    together = Barrier(10, timeout=30)

    def job(_: int) -> StartOutcome:
        together.wait()
        return start(engine, experiment, run)

    with ThreadPoolExecutor(10) as threads:
        outcomes = set(threads.map(lambda number: job(number).status, range(10)))

    assert outcomes == {"started"}
    assert len(rows(engine, experiment, experiment_runs)) == 1
    assert len(rows(engine, experiment, audit_log)) == 1


def test_a_commit_nobody_heard_of_starts_once(
    database: Database, engine: Engine, new_experiment: NewExperiment
) -> None:
    """Run again after a COMMIT that went through unheard, the job knows its own run."""
    experiment, run = new_experiment(), a_run()

    with LostCommits(database.worker_url, losses=1).running() as proxy:
        lossy = create_engine(proxy.url)
        outcome = start(lossy, experiment, run)
        lossy.dispose()

    assert proxy.losses == 0
    assert outcome == StartOutcome(status="started", run_id=run.job_id)
    assert len(rows(engine, experiment, experiment_runs)) == len(rows(engine, experiment, audit_log)) == 1


def test_a_redelivered_job_knows_a_run_that_has_ended(engine: Engine, new_experiment: NewExperiment) -> None:
    """It does not start the experiment a second time."""
    experiment, run = new_experiment(), a_run()
    start(engine, experiment, run)
    end_run(engine, experiment, status="ready")

    assert start(engine, experiment, run) == StartOutcome(status="started", run_id=run.job_id)
    assert rows(engine, experiment, experiments)[0]["status"] == "ready"


def test_an_experiment_can_start_again_after_its_run(engine: Engine, new_experiment: NewExperiment) -> None:
    """By another job, with a run of its own."""
    experiment = new_experiment()
    start(engine, experiment)
    end_run(engine, experiment, status="ready")

    assert start(engine, experiment).status == "started"
    assert len(rows(engine, experiment, experiment_runs)) == 2


@pytest.mark.parametrize("status", ["draft", "paused", "completed", "archived"])
def test_what_is_not_ready_is_left_as_it_is(
    engine: Engine, new_experiment: NewExperiment, status: str
) -> None:
    """The error names the status; neither run nor line is written."""
    experiment = new_experiment(status=status, metadata={"old": 1})

    with pytest.raises(InvalidInput, match=f"is {status}, not ready"):
        start(engine, experiment, metadata={"new": 2})
    assert_untouched(engine, experiment, status)


@pytest.mark.parametrize("variants", [0, 1])
def test_too_few_variants_leave_it_as_it_is(
    engine: Engine, new_experiment: NewExperiment, variants: int
) -> None:
    """The error counts them; neither run nor line is written."""
    experiment = new_experiment(variants=variants, metadata={"old": 1})
    new_experiment(variants=5)  # another one's are not its own

    with pytest.raises(InvalidInput, match=f"has {variants} variants"):
        start(engine, experiment)
    assert_untouched(engine, experiment, "ready")


def test_another_orgs_experiment_is_not_found(
    engine: Engine, new_experiment: NewExperiment, new_tenant: Callable[[], Tenant]
) -> None:
    """In the words of one that does not exist, and it is left as it is."""
    theirs = new_experiment(metadata={"old": 1})
    mine = Experiment(new_tenant().org_id, theirs.id)

    with pytest.raises(NotFound, match=f"experiment {theirs.id} not found; check the id"):
        start(engine, mine)
    assert_untouched(engine, theirs, "ready")
    assert rows(engine, mine, audit_log) == []


def test_without_its_row_in_the_audit_log_nothing_starts(
    database: Database, engine: Engine, new_experiment: NewExperiment
) -> None:
    """They are one transaction: when the last statement fails, so does the first."""
    experiment = new_experiment(metadata={"old": 1})
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(
            sql.SQL("ALTER TABLE audit_log ADD CONSTRAINT refused CHECK (target <> {})").format(
                f"experiment:{experiment.id}"
            )
        )
        try:
            with pytest.raises(InvalidInput, match="refused"):
                start(engine, experiment)
        finally:
            owner.execute("ALTER TABLE audit_log DROP CONSTRAINT refused")
    assert_untouched(engine, experiment, "ready")


def start(
    engine: Engine, experiment: Experiment, run: FakeRun | None = None, **fields: object
) -> StartOutcome:
    # The assignment is a test for type checkers: this is the domain's port.
    transactions: Transactions[ExperimentRepository] = SqlTransactions(engine, SqlExperiments, lambda: None)
    given = {"org_id": experiment.org_id, "experiment_id": experiment.id, "triggered_by": "ann", **fields}
    return StartExperiment(run=run or a_run(), transactions=transactions)(
        ExperimentStart.model_validate(given)
    )


def a_run() -> FakeRun:
    """An attempt at a job that nothing else is."""
    run = FakeRun()
    run.job_id = uuid4()
    return run


def end_run(engine: Engine, experiment: Experiment, *, status: str) -> None:
    """End the experiment's run and set its status."""
    with UnitOfWork(engine, experiment.org_id) as unit:
        unit.connection.execute(
            update(experiment_runs)
            .where(experiment_runs.c.experiment_id == experiment.id)
            .values(status="completed", ended_at=experiment_runs.c.started_at)
        )
        unit.connection.execute(
            update(experiments).where(experiments.c.id == experiment.id).values(status=status)
        )


def rows(engine: Engine, experiment: Experiment, table: Table) -> list[RowMapping]:
    """What a table has about an experiment."""
    is_its_own = {
        experiments: experiments.c.id == experiment.id,
        experiment_runs: experiment_runs.c.experiment_id == experiment.id,
        audit_log: audit_log.c.target == f"experiment:{experiment.id}",
    }
    with UnitOfWork(engine, experiment.org_id) as unit:
        return list(unit.connection.execute(select(table).where(is_its_own[table])).mappings())


def assert_untouched(engine: Engine, experiment: Experiment, status: str) -> None:
    """The experiment is as it was made, with {"old": 1}."""
    [row] = rows(engine, experiment, experiments)
    assert (row["status"], row["started_at"], row["metadata"]) == (status, None, {"old": 1})
    assert rows(engine, experiment, experiment_runs) == rows(engine, experiment, audit_log) == []
