"""The job that, each minute, has content published whose time has come."""

from app.broker import broker
from app.services import services
from domain.priorities import HIGH
from middleware import actor, cron, record_result


@actor(
    broker=broker,
    queue_name="publishing",
    priority=HIGH,
    max_retries=0,
    time_limit=5 * 60_000,
    periodic=cron("* * * * *"),
)
def content_scheduler() -> None:
    """Open intents for what is due, of every org, and send their publishing jobs."""
    record_result(services().content_scheduler())
