"""The job that starts an experiment."""

from app.broker import broker
from app.services import services
from domain.experiment_start import ExperimentStart
from domain.priorities import HIGH
from middleware import actor, record_result


@actor(
    broker=broker,
    queue_name="experiments",
    priority=HIGH,
    max_retries=2,
    time_limit=60_000,
)
def experiment_start(job: ExperimentStart) -> None:
    """Start one experiment."""
    record_result(services().experiment_start(job))
