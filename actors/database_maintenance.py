"""The daily job that removes what is past its retention."""

from app.broker import broker
from app.services import services
from domain.priorities import BACKGROUND
from middleware import actor, cron, record_result


@actor(
    broker=broker,
    queue_name="maintenance",
    priority=BACKGROUND,
    max_retries=1,
    time_limit=10 * 60_000,
    periodic=cron("17 3 * * *", missed="coalesce"),
)
def database_maintenance() -> None:
    """Remove what is past its retention, of every org."""
    record_result(services().database_maintenance())
