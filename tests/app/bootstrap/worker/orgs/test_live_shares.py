"""What operators set for an org decides what is fetched next: counted in dispatches, from the table to the broker."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dramatiq
import pytest

from app.control import Operator
from app.control.build import Control, build
from app.embedded import Servers
from app.settings import Settings
from broker import FairRedisBroker
from tests.broker.workers import take
from tests.databases import Database
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

OLGA = Operator(who="olga", reason="gold plan")


@pytest.fixture
def fair(servers: Servers, prefix: str) -> Iterator[FairRedisBroker]:
    """A fair broker of the test's own, with one actor."""
    made = FairRedisBroker(url=servers.redis_url, namespace=prefix)
    dramatiq.actor(broker=made, actor_name="job")(lambda: None)
    yield made
    made.close()


@pytest.fixture
def control(servers: Servers, database: Database, fair: FairRedisBroker) -> Iterator[Control]:
    """What operators use; no worker runs that would tell the broker anything."""
    settings = Settings.model_validate({"database_url": database.worker_url, "redis_url": servers.redis_url})
    with build(settings, broker=lambda: fair, namespace=fair.namespace) as made:
        yield made


def send(fair: FairRedisBroker, org_id: UUID, count: int) -> None:
    """Jobs of an org."""
    for _ in range(count):
        fair.get_actor("job").send_with_options(org=str(org_id))


def fetched(consumer: Any, count: int) -> Counter[str]:
    """How many of the next dispatches were whose."""
    return Counter(take(consumer).options["org"] for _ in range(count))


def test_an_org_of_weight_three_gets_three_times_as_many_dispatches(
    control: Control, fair: FairRedisBroker, new_tenant: Any
) -> None:
    """As soon as it is set, whatever waits already; and as soon as it is set back, no more than the other.

    All jobs take equally long.
    """
    gold, plain = new_tenant().org_id, new_tenant().org_id
    for org_id in (gold, plain):
        send(fair, org_id, 400)
    consumer = fair.consume("default", prefetch=4)

    def of_gold(count: int) -> int:
        shares = 0
        for _ in range(count):
            message = take(consumer)
            shares += message.options["org"] == str(gold)
            message.lease.took_ms = 10.0
            consumer.ack(message)
        return shares

    # Give or take what was fetched before it was set.
    assert of_gold(100) in range(46, 55)
    assert control.orgs.set(OLGA, gold, weight=3).live
    assert of_gold(200) in range(144, 157)
    assert control.orgs.set(OLGA, gold, weight="default").live
    assert of_gold(100) in range(46, 55)
    consumer.close()


def test_an_org_runs_no_more_at_once_than_it_may(
    control: Control, fair: FairRedisBroker, tenant: Tenant
) -> None:
    """More at the moment it may have more; without a limit of its own as many as there are."""
    control.orgs.set(OLGA, tenant.org_id, max_active=2)
    send(fair, tenant.org_id, 10)
    consumer = fair.consume("default", prefetch=10, timeout=200)

    assert fetched(consumer, 2) == {str(tenant.org_id): 2}
    assert next(consumer) is None
    control.orgs.set(OLGA, tenant.org_id, max_active=5)
    assert fetched(consumer, 3) == {str(tenant.org_id): 3}
    assert next(consumer) is None
    control.orgs.set(OLGA, tenant.org_id, max_active="default")
    assert fetched(consumer, 5) == {str(tenant.org_id): 5}
    consumer.close()
