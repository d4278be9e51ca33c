"""The job that hands a domain over to another org."""

from app.broker import broker
from app.services import services
from domain.domain_transfer import DomainTransfer
from domain.priorities import HIGH
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="domains",
    priority=HIGH,
    max_retries=3,
    time_limit=60_000,
)
def domain_transfer(job: DomainTransfer) -> None:
    """Make the domain that a token stands for the receiver's."""
    record_result(services().domain_transfer(job))
