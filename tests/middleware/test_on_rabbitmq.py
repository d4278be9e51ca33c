"""The guards on a real RabbitMQ server: contracts, parking and rejection hold there as they do on Redis."""

import os
import threading
from collections.abc import Iterator
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from pydantic import BaseModel

from middleware import Contracts, Guard, InvalidPayload, Parked, Retries

pytestmark = pytest.mark.rabbitmq

TIMEOUT_S = 30


class Resize(BaseModel):
    """A contract."""

    image_id: int


class ParksOnce(Guard):
    """Parks the first message it sees, once, and sees what is rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.parks = 1
        self.rejected = threading.Event()

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if self.parks:
            self.parks -= 1
            raise Parked("wait", delay_ms=10)

    def after_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.rejected.set()


@pytest.fixture
def guard() -> ParksOnce:
    """One guard that parks."""
    return ParksOnce()


@pytest.fixture
def broker(guard: ParksOnce) -> Iterator[RabbitmqBroker]:
    """A broker on the server that RABBITMQ_URL names; a test without one fails."""
    made = RabbitmqBroker(
        url=os.environ["RABBITMQ_URL"], middleware=[Contracts(), guard, Retries(max_retries=0)]
    )
    yield made
    for queue in made.get_declared_queues():
        made.flush(queue)
    made.close()


def test_a_contract_is_refused_and_accepted(broker: RabbitmqBroker, guard: ParksOnce) -> None:
    """In the caller's face, or as JSON that becomes the model again."""
    guard.parks = 0
    done, got = threading.Event(), []

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}")
    def resize(job: Resize) -> None:
        got.append(job)
        done.set()

    with pytest.raises(InvalidPayload, match="image_id"):
        broker.get_actor("resize").send({"image_id": "seven"})
    resize.send(Resize(image_id=7))
    run_until(broker, done)

    assert got == [Resize(image_id=7)]


def test_a_parked_message_comes_back_without_using_a_retry(broker: RabbitmqBroker) -> None:
    """With no retry at all it runs the second time."""
    done = threading.Event()

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}", max_retries=0)
    def job() -> None:
        done.set()

    job.send()
    run_until(broker, done)


def test_a_final_failure_is_rejected(broker: RabbitmqBroker, guard: ParksOnce) -> None:
    """And reaches the server's dead letters."""
    guard.parks = 0

    @dramatiq.actor(broker=broker, queue_name=f"q{uuid4().hex}", max_retries=0)
    def job() -> None:
        raise ValueError

    job.send()
    run_until(broker, guard.rejected)


def run_until(broker: RabbitmqBroker, event: threading.Event) -> None:
    """Let a worker work until the event."""
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
    worker.start()
    try:
        assert event.wait(TIMEOUT_S)
    finally:
        worker.stop()
