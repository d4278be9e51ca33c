"""The job that takes feedback in and counts it."""

from app.broker import broker
from app.services import services
from domain.feedback_ingest import FeedbackIngest
from domain.priorities import NORMAL
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="feedback",
    priority=NORMAL,
    max_retries=3,
    time_limit=5 * 60_000,
)
def feedback_ingest(job: FeedbackIngest) -> None:
    """Take in the feedback of one job."""
    outcome = services().feedback_ingest(job)
    # The windows themselves are in their table; here stands how many.
    record_result(outcome.model_dump(mode="json") | {"windows": len(outcome.windows)})
