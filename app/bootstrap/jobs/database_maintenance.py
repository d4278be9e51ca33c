"""Wires `database_maintenance`."""

from collections.abc import Callable

from sqlalchemy import Engine

from adapters.database.maintenance import SqlMaintenance
from adapters.database.transactions import SqlSystemTransactions
from app.settings import Settings
from domain.database_maintenance import MaintainDatabase, MaintenanceReport

from .domain_export import export_destinations
from .run import GuardedRun


def database_maintenance(settings: Settings, engine: Engine) -> Callable[[], MaintenanceReport]:
    """The handler, as the system role."""
    files = export_destinations(settings)

    def handle() -> MaintenanceReport:
        run = GuardedRun()
        maintain = MaintainDatabase(
            run=run,
            transactions=SqlSystemTransactions(engine, SqlMaintenance, run.remaining_s),
            files=files,
            limits=settings.limits,
        )
        return maintain()

    return handle
