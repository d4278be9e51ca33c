"""The job that publishes one intent."""

from app.broker import broker
from app.services import services
from domain.priorities import HIGH
from domain.publish_execution import PublishExecution
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="publishing",
    priority=HIGH,
    max_retries=3,
    time_limit=5 * 60_000,
)
def publish_execution(job: PublishExecution) -> None:
    """Publish one intent at its target, once."""
    record_result(services().publish_execution(job).model_dump(mode="json"))
