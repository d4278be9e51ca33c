"""The daily job that removes what is past its retention."""

import dramatiq

from app.broker import broker
from app.services import services
from domain.errors import PermanentError
from domain.priorities import BACKGROUND


@dramatiq.actor(
    broker=broker,
    queue_name="maintenance",
    priority=BACKGROUND,
    max_retries=1,
    time_limit=10 * 60_000,
    throws=PermanentError,
)
def database_maintenance() -> None:
    """Remove what is past its retention, of every org."""
    services().database_maintenance()
