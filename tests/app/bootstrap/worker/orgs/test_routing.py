"""Where the jobs of an org go, whoever sends them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed
from pydantic import BaseModel

from app.bootstrap.worker import routing as regions
from app.bootstrap.worker.org_shares import orgs_key
from app.bootstrap.worker.routing import KNOWN_FOR_S, OrgRegions, route_to_region
from app.embedded import Servers
from broker import FairRedisBroker
from domain.errors import DatabaseUnavailable
from middleware import Contracts, Retries
from tests.broker.workers import PATIENCE_MS, started
from tests.middleware.own_server import own_valkey

EU, US, ANYWHERE = UUID(int=1), UUID(int=2), UUID(int=3)
KNOWN = {str(EU): "eu", str(US): "us"}


class Resize(BaseModel):
    """What `resize` takes."""

    org_id: UUID


@pytest.fixture
def broker(servers: Servers) -> Iterator[FairRedisBroker]:
    """One that knows where orgs are, with the queues of two regions."""
    made = FairRedisBroker(
        url=servers.redis_url,
        namespace=f"t{uuid4().hex}",
        middleware=[Contracts(), Retries(max_retries=1, min_backoff=1)],
        route=route_to_region(KNOWN.get),
    )
    for queue in ("images", "images.eu", "images.us"):
        made.declare_queue(queue)
    yield made
    made.flush_all()
    made.close()


@pytest.fixture
def resize(broker: FairRedisBroker) -> "dramatiq.Actor[..., Any]":
    """An actor that works for orgs."""

    @dramatiq.actor(broker=broker, queue_name="images")
    def resize(job: Resize) -> None: ...

    return resize


def test_a_message_goes_to_its_orgs_region(
    broker: FairRedisBroker, resize: "dramatiq.Actor[..., Any]"
) -> None:
    """Whatever the payload is when it is sent; the caller is given the message as it went."""
    sent = [
        resize.send(Resize(org_id=EU)),
        resize.send({"org_id": str(US)}),
        resize.send(Resize(org_id=ANYWHERE)),
    ]

    assert [each.queue_name for each in sent] == ["images.eu", "images.us", "images"]
    assert [each.options.get("region") for each in sent] == ["eu", "us", None]
    for queue in ("images.eu", "images.us", "images"):
        assert broker.do_qsize(queue) == 1


def test_many_at_once_go_to_a_region_each(
    broker: FairRedisBroker, resize: "dramatiq.Actor[..., Any]"
) -> None:
    """By the broker's own way of sending many."""
    sent = broker.send_many([resize.message(Resize(org_id=org)) for org in (EU, US, EU, ANYWHERE)])

    queues = [each.queue_name for each in sent if isinstance(each, dramatiq.Message)]
    assert queues == ["images.eu", "images.us", "images.eu", "images"]


def test_a_message_that_says_its_region_goes_there(resize: "dramatiq.Actor[..., Any]") -> None:
    """Its org's does not matter then."""
    sent = resize.send_with_options(args=(Resize(org_id=EU),), region="us")

    assert (sent.queue_name, sent.options["region"]) == ("images.us", "us")


def test_a_retry_stays_and_the_next_step_of_a_pipeline_goes_to_its_own_orgs_region(
    broker: FairRedisBroker,
) -> None:
    """Whatever a guard enqueues goes the same way."""
    broker.add_middleware(dramatiq.middleware.Pipelines())
    enqueued: list[tuple[str, str]] = []

    class Watch(dramatiq.Middleware):
        def after_enqueue(
            self, broker: dramatiq.Broker, message: dramatiq.Message[Any], delay: int | None
        ) -> None:
            enqueued.append((message.actor_name, message.queue_name.removesuffix(".DQ")))

    broker.add_middleware(Watch())

    @dramatiq.actor(broker=broker, queue_name="images")
    def fail_once(org_id: str) -> None:
        if len(enqueued) == 1:
            raise ValueError("once")

    @dramatiq.actor(broker=broker, queue_name="images")
    def follow(org_id: str) -> None: ...

    then = follow.message_with_options(kwargs={"org_id": str(US)}, pipe_ignore=True)
    first = fail_once.message_with_options(kwargs={"org_id": str(EU)})
    broker.enqueue(dramatiq.pipeline([first, then], broker=broker).messages[0])
    with started(broker):
        broker.join("images.eu", timeout=PATIENCE_MS)

    assert [each for each in enqueued if each[0] == "fail_once"][:2] == [("fail_once", "images.eu")] * 2
    assert enqueued[-1] == ("follow", "images.us")


class Clock:
    """Stands still until the test moves it."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Published:
    """What workers told Redis, and a process that goes by it."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.key = orgs_key(prefix)
        self.clock = Clock()
        self.looked_up: list[UUID] = []
        self.table: dict[UUID, str] = {}
        self.regions = OrgRegions(client, look_up=self._look_up, prefix=prefix, clock_s=self.clock)

    def tell(self, version: str, known: dict[str, str]) -> None:
        """As a worker does."""
        self.client.delete(self.key)
        self.client.hset(self.key, mapping={"": version, **known})  # type: ignore[dict-item]

    def _look_up(self, org_id: UUID) -> str | None:
        self.looked_up.append(org_id)
        return self.table.get(org_id)


@pytest.fixture
def reported(client: redis.Redis, prefix: str) -> Published:
    """Nobody has told anything yet."""
    return Published(client, prefix)


@pytest.mark.slow
def test_what_workers_reported_is_believed_for_two_seconds(reported: Published) -> None:
    """Then they are asked again; the database never is."""
    reported.tell("1", {str(EU): "eu"})
    assert [reported.regions(str(org)) for org in (EU, ANYWHERE)] == ["eu", None]

    reported.tell("2", {str(EU): "us", str(ANYWHERE): "eu"})
    assert reported.regions(str(EU)) == "eu"
    reported.clock.now_s = KNOWN_FOR_S

    assert [reported.regions(str(org)) for org in (EU, ANYWHERE)] == ["us", "eu"]
    assert reported.looked_up == []


@pytest.mark.slow
def test_an_org_is_the_same_however_it_is_written(reported: Published) -> None:
    """In capitals, or without its hyphens; what is no id is no org with a region."""
    reported.tell("1", {str(EU): "eu"})

    assert [reported.regions(text) for text in (EU.hex, f"{{{EU}}}".upper(), "acme", "")] == [
        "eu",
        "eu",
        None,
        None,
    ]


@pytest.mark.slow
def test_where_nobody_has_reported_the_table_is_asked(reported: Published) -> None:
    """Once in two seconds for each org; where there is no table no org has a region."""
    reported.table[EU] = "eu"
    assert [reported.regions(str(org)) for org in (EU, EU, ANYWHERE)] == ["eu", "eu", None]
    assert reported.looked_up == [EU, ANYWHERE]
    reported.table[EU] = "us"
    reported.clock.now_s = KNOWN_FOR_S

    assert reported.regions(str(EU)) == "us"
    assert OrgRegions(reported.client, look_up=None, prefix=uuid4().hex)(str(EU)) is None


@pytest.mark.slow
def test_a_region_that_cannot_be_known_is_not_made_up(reported: Published) -> None:
    """Nothing is sent to the wrong place because the database is away."""

    def away(org_id: UUID) -> str | None:
        raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        OrgRegions(reported.client, look_up=away, prefix=uuid4().hex)(str(EU))


@pytest.mark.slow
def test_where_no_org_has_a_region_two_seconds_cost_one_round_trip() -> None:
    """Whatever is sent in them; and with regions, one more for each org that is new to the process."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        reported = Published(client, "t")
        reported.tell("1", {})
        client.config_resetstat()
        for number in range(1_000):
            reported.regions(str(UUID(int=number)))
        nobody = client.info("commandstats")
        reported.tell("2", {str(EU): "eu"})
        reported.clock.now_s = KNOWN_FOR_S
        client.config_resetstat()
        for _ in range(10):
            for number in range(20):
                reported.regions(str(UUID(int=number)))
        somebody = client.info("commandstats")

    assert (nobody["cmdstat_hget"]["calls"], nobody["cmdstat_hlen"]["calls"]) == (1, 1)
    assert somebody["cmdstat_hget"]["calls"] == 1 + 20


@pytest.mark.slow
def test_memory_is_bounded(reported: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is asked again."""
    monkeypatch.setattr(regions, "MOST_ORGS", 4)
    known = {str(UUID(int=number)): f"r{number}" for number in range(20)}
    reported.tell("1", known)

    for _ in range(2):
        assert {org: reported.regions(org) for org in known} == known
    assert reported.regions._known is not None
    assert len(reported.regions._known.regions) <= 4


@pytest.mark.slow
def test_without_redis_what_is_known_is_gone_by_and_nothing_is_made_up() -> None:
    """The send that follows fails, and says so; or Redis is back by then."""
    with own_valkey() as server, redis.Redis.from_url(server.url, retry=None) as client:
        reported, ignorant = Published(client, "t"), OrgRegions(client, look_up=None, prefix="t")
        reported.tell("1", {str(EU): "eu"})
        assert reported.regions(str(EU)) == "eu"
        server.stop()
        reported.clock.now_s = KNOWN_FOR_S

        assert reported.regions(str(EU)) == "eu"
        with pytest.raises(ConnectionClosed):
            ignorant(str(EU))
        with pytest.raises(ConnectionClosed):
            reported.regions(str(US))
