"""Experiments and their runs in PostgreSQL."""

from uuid import UUID

from sqlalchemy import func, insert, or_, select, update

from domain.experiment_start import ExperimentRun, ExperimentStart, Status

from .audit import add_to_audit_log
from .tables import experiment_runs, experiment_variants, experiments
from .unit_of_work import UnitOfWork

#: What the audit log calls a start.
ACTION = "experiment.start"


class SqlExperiments:
    """`domain.experiment_start.ExperimentRepository` within one unit of work.

    Parameters:
        unit: the transaction, and the org.

    Example:
        >>> SqlTransactions(engine, SqlExperiments, run.remaining_s)
    """

    def __init__(self, unit: UnitOfWork) -> None:
        self._connection = unit.connection
        self._org_id = unit.org_id

    def lock_runs(self, experiment_id: UUID) -> None:
        """Hold the experiment's running run, if there is one."""
        runs = experiment_runs.c
        self._connection.execute(
            select(runs.id)
            .where(runs.org_id == self._org_id, runs.experiment_id == experiment_id, runs.status == "running")
            .with_for_update()
        )

    def lock_experiment(self, experiment_id: UUID) -> Status | None:
        """Hold the experiment and tell its status; None when the org has no such experiment."""
        rows = experiments.c
        status: Status | None = self._connection.scalar(
            select(rows.status).where(rows.org_id == self._org_id, rows.id == experiment_id).with_for_update()
        )
        return status

    def runs(self, experiment_id: UUID, own: UUID) -> list[ExperimentRun]:
        """Its running run, and the run named `own` in whatever state: those that exist by now."""
        runs = experiment_runs.c
        is_running = runs.status == "running"
        rows = self._connection.execute(
            select(runs.id, is_running).where(
                runs.org_id == self._org_id,
                runs.experiment_id == experiment_id,
                or_(is_running, runs.id == own),
            )
        )
        return [ExperimentRun(run_id=run_id, is_running=running) for run_id, running in rows]

    def count_variants(self, experiment_id: UUID) -> int:
        """How many variants it has."""
        variants = experiment_variants.c
        counted = select(func.count()).where(
            variants.org_id == self._org_id, variants.experiment_id == experiment_id
        )
        return self._connection.scalar(counted) or 0

    def start(self, experiment_id: UUID, run_id: UUID, job: ExperimentStart) -> None:
        """Set it running, add the run, and write both into the audit log."""
        rows = experiments.c
        own = (rows.org_id == self._org_id, rows.id == experiment_id)
        changes: dict[str, object] = {"status": "running", "started_at": func.now(), "updated_at": func.now()}
        if job.metadata is not None:
            changes["metadata"] = job.metadata
        self._connection.execute(update(experiments).where(*own).values(changes))
        self._connection.execute(
            insert(experiment_runs).values(
                org_id=self._org_id,
                id=run_id,
                experiment_id=experiment_id,
                status="running",
                triggered_by=job.triggered_by,
                # What it begins with, copied where it lies: on the way through Python numbers would lose digits.
                metadata=select(rows.metadata).where(*own).scalar_subquery(),
            )
        )
        add_to_audit_log(
            self._connection,
            actor=job.triggered_by,
            action=ACTION,
            target=f"experiment:{experiment_id}",
            org_id=self._org_id,
            before={"status": "ready"},
            # The metadata itself stands in the run, and may be larger than an entry of the log.
            after={
                "status": "running",
                "run_id": str(run_id),
                "metadata": "kept" if job.metadata is None else "replaced",
            },
        )
