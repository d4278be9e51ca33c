"""The control API on real servers, with a broker that has one actor for orgs and one for nobody."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from app.control.build import build
from app.embedded import Servers
from app.settings import Settings
from broker import FairRedisBroker
from middleware import Contracts
from tests.app.control.examples import World
from tests.databases import Database
from tests.tenants import Tenant


class Resize(BaseModel):
    """What `resize` takes."""

    model_config = ConfigDict(extra="forbid")

    org_id: UUID
    image_id: int


@pytest.fixture
def broker(servers: Servers) -> Iterator[FairRedisBroker]:
    """A broker of the test's own."""
    made = FairRedisBroker(url=servers.redis_url, namespace=uuid4().hex, middleware=[Contracts()])

    @dramatiq.actor(broker=made, queue_name="images")
    def resize(job: Resize) -> None:
        """Never runs."""

    @dramatiq.actor(broker=made, queue_name="platform")
    def sweep() -> None:
        """Never runs."""

    yield made
    made.close()


@pytest.fixture
def settings(servers: Servers, database: Database) -> Settings:
    """Where the servers are."""
    where = {"database_url": database.worker_url, "redis_url": servers.redis_url}
    return Settings.model_validate({**where, "secret_keys": ["k" * 32]})


@pytest.fixture
def world(
    settings: Settings,
    servers: Servers,
    engine: Engine,
    new_tenant: Callable[[], Tenant],
    broker: FairRedisBroker,
) -> Iterator[World]:
    """The API, and two orgs."""
    with (
        redis.Redis.from_url(servers.redis_url) as client,
        build(settings, broker=lambda: broker, namespace=broker.namespace) as control,
    ):
        yield World(
            control=control,
            broker=broker,
            engine=engine,
            client=client,
            owner=new_tenant().org_id,
            stranger=new_tenant().org_id,
        )
