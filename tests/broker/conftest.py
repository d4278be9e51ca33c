"""A fair broker of the test's own, on the real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis

from app.embedded import Servers
from broker import FairRedisBroker
from tests.broker.cutting_proxy import Proxy, proxied
from tests.broker.turns import Turns
from tests.broker.workers import started
from tests.middleware.brokers import close

MakeBroker = Callable[..., FairRedisBroker]
Work = Callable[..., dramatiq.Worker]


@pytest.fixture
def new_broker(servers: Servers) -> Iterator[MakeBroker]:
    """Makes brokers, in a namespace of their own unless told otherwise."""
    with ExitStack() as cleaning:

        def make(
            url: str = servers.redis_url, *, namespace: str | None = None, **options: Any
        ) -> FairRedisBroker:
            made = FairRedisBroker(url=url, namespace=namespace or uuid4().hex, **options)
            cleaning.callback(close, made)
            return made

        yield make


@pytest.fixture
def fair(new_broker: MakeBroker) -> FairRedisBroker:
    """A broker with Dramatiq's own middleware."""
    return new_broker()


@pytest.fixture
def fair_only(new_broker: MakeBroker) -> FairRedisBroker:
    """A broker of whose work nothing goes by age."""
    return new_broker(age_share=0)


@pytest.fixture
def turns(fair_only: FairRedisBroker) -> Turns:
    """A queue whose jobs run one after the other, and take as long as the test says; nothing of it goes by age."""
    return Turns(fair_only)


@pytest.fixture
def work() -> Iterator[Work]:
    """Starts workers, stopped with the test at the latest."""
    with ExitStack() as stopping:

        def start(broker: dramatiq.Broker, *, threads: int = 1) -> dramatiq.Worker:
            return stopping.enter_context(started(broker, threads=threads))

        yield start


@pytest.fixture
def raw(servers: Servers) -> Iterator["redis.Redis"]:
    """A client of the real server, for looking at what is stored."""
    # redis-py would give up a blocking pop after five seconds.
    with redis.Redis.from_url(servers.redis_url, socket_timeout=None) as client:
        yield client


@pytest.fixture
def proxy(servers: Servers) -> Iterator[Proxy]:
    """A way to the real server that the test can cut."""
    with proxied(servers.redis_url) as made:
        yield made
