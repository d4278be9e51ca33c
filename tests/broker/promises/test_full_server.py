"""A server whose memory is full (`maxmemory`, `noeviction`) while a job runs: it ends, and the memory is free again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dramatiq
import pytest
import redis

from tests.broker.promises.brokers import QUEUE, Kind
from tests.broker.promises.scenario import Stage, staged
from tests.middleware.own_server import own_valkey


def test_vanilla_keeps_it_for_as_long_as_it_is_full() -> None:
    """Its acknowledgement is refused, so that nothing frees memory: it is not done until somebody raises the limit."""
    with full("vanilla") as stage:
        message, consumer = _taken(stage)
        stage.client.config_set("maxmemory", 1)
        with pytest.raises(redis.ResponseError):
            consumer.ack(message)

        assert stage.unfinished() == 1


def test_ours_ends_it() -> None:
    """The server lets through whatever brings nothing in: ends with their retries, fetches, pauses, clean-ups."""
    with full("ours") as stage:
        message, consumer = _taken(stage)
        stage.client.config_set("maxmemory", 1)
        consumer.ack(message)

        stage.await_finished()


@contextmanager
def full(kind: Kind) -> Iterator[Stage]:
    """A stage on a server of its own, which may be full until the end."""
    with own_valkey() as server, staged(kind, server.url) as stage:
        try:
            yield stage
        finally:
            with suppress(redis.RedisError):
                stage.client.config_set("maxmemory", 0)


def _taken(stage: Stage) -> tuple[dramatiq.broker.MessageProxy, dramatiq.broker.Consumer]:
    broker = stage.broker()
    dramatiq.actor(broker=broker, actor_name="job")(lambda: None).send()
    consumer = broker.consume(QUEUE, timeout=5_000)
    message = next(consumer)
    assert message is not None
    return message, consumer
