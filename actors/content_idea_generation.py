"""The job that writes content ideas for a domain."""

import dramatiq

from app.broker import broker
from app.services import services
from domain.content_idea_generation import ContentIdeaGeneration
from domain.errors import PermanentError
from domain.priorities import NORMAL


@dramatiq.actor(
    broker=broker,
    queue_name="content",
    priority=NORMAL,
    max_retries=2,
    time_limit=2 * 60_000,
    throws=PermanentError,
)
def content_idea_generation(job: ContentIdeaGeneration) -> None:
    """Generate and store one batch of ideas."""
    services().content_idea_generation(job)
