"""The job that writes content ideas for a domain."""

from app.broker import broker
from app.services import services
from domain.content_idea_generation import ContentIdeaGeneration
from domain.priorities import NORMAL
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="content",
    priority=NORMAL,
    max_retries=2,
    time_limit=2 * 60_000,
)
def content_idea_generation(job: ContentIdeaGeneration) -> None:
    """Generate and store one batch of ideas."""
    batch = services().content_idea_generation(job)
    record_result({"status": batch.status, "batch_id": str(batch.batch_id), "ideas": len(batch.ideas)})
