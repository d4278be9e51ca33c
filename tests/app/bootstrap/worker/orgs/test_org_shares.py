"""What workers tell the broker and those who send, and when."""

from uuid import UUID

import pytest
import redis
from sqlalchemy import Engine, event, update

from adapters.database.org_shares import SqlOrgShares
from adapters.database.tables import orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.redis import NAMESPACE
from app.bootstrap.worker.org_shares import BELIEVED_MS, LOOK_EVERY_S, OrgShares, orgs_key, tell_shares
from broker import FairRedisBroker, OrgShare
from tests.middleware.own_server import own_valkey
from tests.tenants import Tenant

pytestmark = pytest.mark.slow


class World:
    """The duty of one process, with a clock that the test sets."""

    def __init__(self, engine: Engine, client: redis.Redis, prefix: str) -> None:
        self.engine = engine
        self.client = client
        self.key = orgs_key(prefix)
        self.reported: list[dict[str, OrgShare]] = []
        self.now_s = 0.0
        self.duty = OrgShares(
            SqlOrgShares(engine),
            client,
            lambda shares: self.reported.append(dict(shares)),
            prefix=prefix,
            clock_s=lambda: self.now_s,
        )

    def set(self, org_id: UUID, **values: object) -> None:
        """By hand."""
        with SystemUnitOfWork(self.engine) as unit:
            unit.connection.execute(update(orgs).where(orgs.c.id == org_id).values(values))

    def look(self) -> None:
        """Do the duty when it is due again."""
        self.now_s += LOOK_EVERY_S
        self.duty()


@pytest.fixture
def world(engine: Engine, client: redis.Redis, prefix: str) -> World:
    """On real servers."""
    return World(engine, client, prefix)


def test_a_change_by_hand_is_reported_at_the_next_look(world: World, tenant: Tenant) -> None:
    """Once; what has not changed is not told again."""
    world.look()
    assert world.reported == [{}]
    world.look()
    world.set(tenant.org_id, weight=3, limits={"max_active": 20})
    world.duty()
    assert world.reported == [{}]

    world.look()
    world.look()

    assert world.reported[1:] == [{str(tenant.org_id): OrgShare(weight=3, max_active=20)}]


def test_orgs_that_differ_by_region_only_are_nothing_to_the_broker(world: World, tenant: Tenant) -> None:
    """Those who send are told of them."""
    world.set(tenant.org_id, region="eu")

    world.look()

    assert world.reported == [{}]
    assert world.client.hget(world.key, str(tenant.org_id)) == b"eu"


def test_what_went_with_a_server_is_reported_again(world: World, tenant: Tenant) -> None:
    """An empty one knows nothing, and is found at the next look."""
    world.set(tenant.org_id, weight=2)
    world.look()
    world.client.delete(world.key)

    world.look()

    assert world.reported == [{str(tenant.org_id): OrgShare(weight=2)}] * 2


def test_a_server_that_came_up_empty_is_reported_again(engine: Engine, tenant: Tenant) -> None:
    """By the duty as workers have it, with the broker's own configuration."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(orgs).values(weight=3, limits={"max_active": 7}, region="eu"))
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        broker = FairRedisBroker(url=server.url, namespace=NAMESPACE)
        known: list[object] = []
        for _ in range(2):
            tell_shares(client, engine, broker)()
            known += [
                client.hgetall(f"{broker.base}:o"),
                client.hget(orgs_key(NAMESPACE), str(tenant.org_id)),
            ]
            server.stop()
            server.start()
        broker.close()

    assert known == [{str(tenant.org_id).encode(): b"3|7"}, b"eu"] * 2


def test_of_many_processes_one_reports(
    world: World, tenant: Tenant, engine: Engine, client: redis.Redis, prefix: str
) -> None:
    """The others find that it is told already."""
    another = World(engine, client, prefix)
    world.set(tenant.org_id, weight=2)

    world.look()
    another.look()

    assert (len(world.reported), len(another.reported)) == (1, 0)


def test_what_was_reported_is_gone_a_minute_after_the_last_look(world: World) -> None:
    """Without a worker nobody would notice that it does not hold any more; each look keeps it alive."""
    world.look()
    assert 0 < world.client.pttl(world.key) <= BELIEVED_MS
    world.client.pexpire(world.key, 1_000)

    world.look()

    assert world.client.pttl(world.key) > 1_000


def test_a_look_is_one_query_and_one_round_trip(engine: Engine) -> None:
    """And there is nothing to pay between two looks."""
    statements: list[str] = []
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        world = World(engine, client, "t")
        world.look()
        event.listen(engine, "before_cursor_execute", lambda _, __, text, *___: statements.append(text))
        client.config_resetstat()
        for _ in range(100):
            world.duty()
        world.look()
        stats = client.info("commandstats")

    assert len([each for each in statements if "FROM orgs" in each]) == 1
    assert {name: stats[name]["calls"] for name in stats if name != "cmdstat_config|resetstat"} == {
        "cmdstat_hget": 1,
        "cmdstat_pexpire": 1,
    }


def test_a_vanilla_broker_is_asked_nothing(
    engine: Engine, client: redis.Redis, prefix: str, tenant: Tenant
) -> None:
    """It divides nothing; those who send are told all the same."""
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(update(orgs).values(weight=2, region="eu"))

    OrgShares(SqlOrgShares(engine), client, None, prefix=prefix).tell()

    assert client.hget(orgs_key(prefix), str(tenant.org_id)) == b"eu"
