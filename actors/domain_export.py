"""The job that exports a domain."""

from app.broker import broker
from app.services import services
from domain.domain_export import DomainExport
from domain.priorities import LOW
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="exports",
    priority=LOW,
    max_retries=3,
    time_limit=10 * 60_000,
)
def domain_export(job: DomainExport) -> None:
    """Export one domain to its destination."""
    outcome = services().domain_export(job)
    # The link opens the file for whoever has it; its place is with the caller's own, not in the history.
    record_result(outcome.model_dump(mode="json", exclude={"link"}))
