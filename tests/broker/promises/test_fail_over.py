"""After a fail-over behind one address, the old server a replica by then, senders and workers go on by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dramatiq
import pytest
import redis
from dramatiq import Message
from dramatiq.errors import ConnectionClosed

from tests.broker.failover.address import address
from tests.broker.failover.servers import servers
from tests.broker.failover.test_one_address import fail_over
from tests.broker.promises.brokers import QUEUE, Either, Kind, make_broker
from tests.broker.workers import started
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

#: So often the stock broker is asked again.
TRIES = 20


def test_vanilla_stays_on_the_old_server() -> None:
    """Every send is refused, "READONLY", for as long as the process lives: its connections are kept."""
    with moved("vanilla") as broker:
        for _ in range(TRIES):
            with pytest.raises(redis.ReadOnlyError):
                broker.enqueue(_message())


def test_ours_goes_on_with_the_new_one() -> None:
    """The refusal counts as a lost connection: the send is repeated on a new one, and the worker fetches from there."""
    ran: list[int] = []
    with moved("ours", ran) as broker:

        def sent_and_run() -> bool:
            with suppress(ConnectionClosed):
                broker.enqueue(_message())
            return ran != []

        assert eventually(sent_and_run)


@contextmanager
def moved(kind: Kind, ran: list[int] | None = None) -> Iterator[Either]:
    """A broker that has sent and worked, after its address has moved."""
    runs: list[int] = [] if ran is None else ran
    with servers(2, "--repl-diskless-sync-delay", "0") as (first, second), address(first.port) as name:
        second.replicate(first)
        broker = make_broker(kind, name.url, "moved")

        def job() -> None:
            runs.append(1)

        dramatiq.actor(broker=broker, actor_name="job")(job)
        with started(broker):
            broker.enqueue(_message())
            assert eventually(lambda: runs == [1])
            fail_over(name, first, second)
            runs.clear()
            yield broker


def _message() -> "Message[None]":
    return Message(queue_name=QUEUE, actor_name="job", args=(), kwargs={}, options={})
