"""The guards' own tests, with the fair broker in the place of Dramatiq's two: those of them that ask for a broker."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pytest

from app.embedded import Servers
from broker import FairRedisBroker
from broker.delegation import Rule
from tests.middleware.brokers import close
from tests.middleware.conftest import redis_client
from tests.middleware.retrying_jobs import watch

__all__ = ["redis_client", "watch"]

MakeBroker = Callable[..., FairRedisBroker]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was imported along and would be the same test a second time."""
    local, again = Path(__file__).parent, []
    for item in items:
        names = getattr(item, "fixturenames", ())
        if item.path.parent == local and not {"bare_broker", "new_broker"} & set(names):
            again.append(item)
    if again:
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if item not in set(again)]


class LeavesItToGuards(FairRedisBroker):
    """SupportsLimits nothing, so that a guard does on it what it does on any broker."""

    def enforce(self, rule: Rule) -> bool:
        return False


@pytest.fixture
def new_broker(servers: Servers) -> Iterator[MakeBroker]:
    """Makes brokers with Dramatiq's stock middleware, each in a namespace of its own unless told otherwise."""
    with ExitStack() as cleaning:

        def make(kind: type[FairRedisBroker] = FairRedisBroker, **options: Any) -> FairRedisBroker:
            made = kind(url=servers.redis_url, **{"namespace": uuid4().hex, **options})
            cleaning.callback(close, made)
            cleaning.callback(made.flush_all)
            return made

        yield make


@pytest.fixture(params=["fair"])
def bare_broker(request: pytest.FixtureRequest, new_broker: MakeBroker) -> dramatiq.Broker:
    """A broker with queues of its own, which holds what it has no actor for no longer than others do."""
    return new_broker(hold_unknown=1)


@pytest.fixture(params=["fair"])
def unhelpful_broker(request: pytest.FixtureRequest, new_broker: MakeBroker) -> dramatiq.Broker:
    """The same, for suites that look at how a guard does its work by itself."""
    return new_broker(LeavesItToGuards)
