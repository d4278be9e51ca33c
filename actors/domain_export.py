"""The job that exports a domain."""

import dramatiq

from app.broker import broker
from app.services import services
from domain.domain_export import DomainExport
from domain.errors import PermanentError
from domain.priorities import LOW


@dramatiq.actor(
    broker=broker,
    queue_name="exports",
    priority=LOW,
    max_retries=3,
    time_limit=10 * 60_000,
    throws=PermanentError,
)
def domain_export(job: DomainExport) -> None:
    """Export one domain to its destination."""
    services().domain_export(job)
