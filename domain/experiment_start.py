"""The start of an experiment: once, however often and from however many sides it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import StringConstraints

from .contract import NO_NUL, Model, TenantJob
from .errors import InvalidInput, NotFound
from .metadata import Metadata
from .ports import Run, Transactions

#: An experiment compares at least two things.
MIN_VARIANTS = 2
#: Bound on every statement, and on waiting for whoever starts the same experiment at the moment.
START_TIMEOUT_S = 10.0

#: What an experiment can be.
Status = Literal["draft", "ready", "running", "paused", "completed", "archived"]

#: What to do about an experiment that cannot start.
_FIXES: Mapping[str, str] = {
    "draft": "finish it and mark it ready",
    "running": "it has no run; mark it ready to start it anew",
    "paused": "resume it, or end its run and mark it ready",
    "completed": "make a new experiment to run it again",
    "archived": "make a new experiment to run it again",
}


class ExperimentStart(TenantJob):
    """Ask for an experiment to start.

    Example:
        >>> ExperimentStart(org_id=org, experiment_id=experiment, triggered_by="ann", metadata={"ticket": 12})
    """

    experiment_id: UUID
    """The experiment; it must be `ready` and have two variants."""
    triggered_by: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=NO_NUL)]
    """Who or what starts it, as the audit log will tell."""
    metadata: Metadata | None = None
    """Replaces the experiment's metadata; without it the old stays. 50 keys, below 32 KiB as JSON."""


class StartOutcome(Model):
    """What came of it."""

    status: Literal["started", "already_running"]
    run_id: UUID
    """The run that this job started, or the one that was running already."""


@dataclass(frozen=True, kw_only=True)
class ExperimentRun:
    """A run, as far as a start needs to know it."""

    run_id: UUID
    is_running: bool


class ExperimentRepository(Protocol):
    """The experiments of an org, within one transaction."""

    def lock_runs(self, experiment_id: UUID) -> None:
        """Hold the experiment's running run, if there is one."""

    def lock_experiment(self, experiment_id: UUID) -> Status | None:
        """Hold the experiment and tell its status; None when the org has no such experiment."""

    def runs(self, experiment_id: UUID, own: UUID) -> Sequence[ExperimentRun]:
        """Its running run, and the run named `own` in whatever state: those that exist by now."""

    def count_variants(self, experiment_id: UUID) -> int:
        """How many variants it has."""

    def start(self, experiment_id: UUID, run_id: UUID, job: ExperimentStart) -> None:
        """Set it running, add the run, and write both into the audit log."""


@dataclass(frozen=True, kw_only=True)
class StartExperiment:
    """The handler.

    The run's id is the job's id, known before anything is written. So a job that is delivered again, because its
    worker died or the answer to its COMMIT was lost, recognises its own run and says `started` again.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work over the org's experiments.

    Example:
        >>> StartExperiment(run=run, transactions=db)(job).status
        'started'
    """

    run: Run
    transactions: Transactions[ExperimentRepository]

    def __call__(self, job: ExperimentStart) -> StartOutcome:
        """Start one experiment, all of it or nothing.

        Parameters:
            job: which, and by whom.

        Raises:
            NotFound: the org has no such experiment.
            InvalidInput: it is not `ready`, or has fewer than two variants; the message says what to do.
            DatabaseUnavailable: the transaction failed, also when repeated.
            Cancelled, DeadlineExceeded: before anything was begun.
        """
        self.run.checkpoint()
        outcome = self.transactions(
            job.org_id, lambda repository: _start(repository, self.run.job_id, job), timeout_s=START_TIMEOUT_S
        )
        self.run.progress(100, outcome.status.replace("_", " "))
        return outcome


def _start(repository: ExperimentRepository, run_id: UUID, job: ExperimentStart) -> StartOutcome:
    repository.lock_runs(job.experiment_id)
    status = repository.lock_experiment(job.experiment_id)
    if status is None:
        raise NotFound("experiment", job.experiment_id)
    # Only now, and without locking: whoever held the experiment until this moment may have started it, and who comes
    # next holds that run already and waits for us.
    runs = repository.runs(job.experiment_id, run_id)
    if any(run.run_id == run_id for run in runs):
        return StartOutcome(status="started", run_id=run_id)
    running = next((run.run_id for run in runs if run.is_running), None)
    if running is not None and status in ("running", "ready"):
        # `ready` with a run: somebody set it back and left the run, of which there can be one.
        return StartOutcome(status="already_running", run_id=running)
    if status != "ready":
        raise InvalidInput(f"experiment {job.experiment_id} is {status}, not ready; {_FIXES[status]}")
    variants = repository.count_variants(job.experiment_id)
    if variants < MIN_VARIANTS:
        raise InvalidInput(
            f"experiment {job.experiment_id} has {variants} variants; add some until there are {MIN_VARIANTS}"
        )
    repository.start(job.experiment_id, run_id, job)
    return StartOutcome(status="started", run_id=run_id)
