"""The daily job that moves media nobody looks at to cold storage, and deletes media that nothing shows."""

from app.broker import broker, settings
from app.services import services
from domain.priorities import BACKGROUND
from middleware import actor, cron, record_result


@actor(
    broker=broker,
    queue_name="media",
    priority=BACKGROUND,
    max_retries=1,
    time_limit=settings.job_timeout_ms,
    periodic=cron("43 2 * * *", missed="coalesce"),
)
def media_cleanup() -> None:
    """Move and delete media of every org."""
    record_result(services().media_cleanup())
