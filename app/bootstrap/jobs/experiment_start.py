"""Wires `experiment_start`."""

from collections.abc import Callable

from sqlalchemy import Engine

from adapters.database.experiments import SqlExperiments
from adapters.database.transactions import SqlTransactions
from domain.experiment_start import ExperimentStart, StartExperiment, StartOutcome

from .run import GuardedRun


def experiment_start(engine: Engine) -> Callable[[ExperimentStart], StartOutcome]:
    """The handler."""

    def handle(job: ExperimentStart) -> StartOutcome:
        run = GuardedRun()
        transactions = SqlTransactions(engine, SqlExperiments, run.remaining_s)
        return StartExperiment(run=run, transactions=transactions)(job)

    return handle
