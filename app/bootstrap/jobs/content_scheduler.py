"""Wires `content_scheduler`."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Engine

from adapters.database.scheduling import Outbox, SqlScheduling
from adapters.database.transactions import SqlSystemTransactions
from app.settings import Settings
from domain.content_scheduler import ScheduleContent, SchedulerReport

from .run import GuardedRun


def content_scheduler(settings: Settings, engine: Engine, outbox: Outbox) -> Callable[[], SchedulerReport]:
    """The handler, as the system role."""
    repository = partial(SqlScheduling, outbox=outbox, limits=settings.limits)

    def handle() -> SchedulerReport:
        run = GuardedRun()
        return ScheduleContent(
            run=run, transactions=SqlSystemTransactions(engine, repository, run.remaining_s)
        )()

    return handle
