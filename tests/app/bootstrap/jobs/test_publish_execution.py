"""Publishing as the platform wires it: a worker, the guards, the database and a site that speaks WordPress."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage
from pydantic import SecretStr
from sqlalchemy import Engine, RowMapping, Table, func, insert, select, update

from adapters.credentials import WordPressCredentials
from adapters.database.tables import (
    content_items,
    job_executions,
    publish_executions,
    publish_intents,
    publish_targets,
)
from adapters.database.unit_of_work import UnitOfWork
from app.bootstrap.jobs.publish_execution import publish_execution
from app.bootstrap.jobs.publishers import credential_box, site_publishers
from app.bootstrap.jobs.services import build_services
from app.dev.wordpress_site import Answer, HangUp, Hold, WordPressSite, wordpress_site
from app.embedded import Servers
from app.settings import Settings
from domain.errors import NotFound
from domain.publish_execution import PublishExecution, PublishOutcome
from domain.publishing import RetryOptions
from middleware import Callbacks, CircuitBreakers, Contracts, Deadlines, Parked, Retries
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from tests.databases import Database
from tests.middleware.brokers import replace_stack, work
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

#: Retries that a test need not wait for.
QUICK: dict[str, Any] = {"min_backoff": 1, "max_backoff": 1}
#: A message that has to wait longer does not come back within a test.
LONGEST_DELAY_MS = 5_000
NO_RETRY = RetryOptions(retries=0, backoff_ms=100)


@pytest.fixture
def site() -> Iterator[WordPressSite]:
    """Somebody's blog."""
    with wordpress_site() as running:
        yield running


@pytest.fixture
def settings(servers: Servers, database: Database) -> Settings:
    """A platform that may publish to this machine, with a short lease."""
    return Settings.model_validate(
        {
            "database_url": database.worker_url,
            "redis_url": servers.redis_url,
            "secret_keys": ("k" * 32,),
            "publish_allow_http": True,
            "publish_allowed_networks": ("127.0.0.0/8",),
            "publish_lease_s": 2.0,
        }
    )


class ShortBroker(StubBroker):
    """Keeps apart what would come back too late for a test, and notes for how long each message had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.delays_ms: list[int] = []
        self.parked: list[dramatiq.Message[Any]] = []
        self.failed: list[dramatiq.Message[Any]] = []

    def enqueue(
        self, message: "dramatiq.Message[Any]", *, delay: int | None = None
    ) -> "dramatiq.Message[Any]":
        if delay is not None:
            self.delays_ms.append(delay)
        if delay is not None and delay > LONGEST_DELAY_MS:
            self.parked.append(message)
            return message
        return super().enqueue(message, delay=delay)


@dataclass
class Desk:
    """A worker that publishes, and whatever it needs."""

    engine: Engine
    tenant: Tenant
    settings: Settings
    handler: Callable[[PublishExecution], PublishOutcome]
    breakers: CircuitBreakers
    broker: ShortBroker = field(default_factory=ShortBroker)
    outcomes: list[PublishOutcome | BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        replace_stack(
            self.broker,
            Contracts(),
            self.breakers,
            Deadlines(),
            CurrentMessage(),
            Callbacks(),
            Retries(**QUICK),
        )

        def fn(job: PublishExecution) -> None:
            try:
                self.outcomes.append(self.handler(job))
            except BaseException as error:
                self.outcomes.append(error)
                raise

        declare = dramatiq.actor(
            broker=self.broker, actor_name="publish_execution", queue_name="publishing", max_retries=3
        )
        self._actor: dramatiq.Actor[[PublishExecution], None] = declare(fn)

    def intent(self, site: WordPressSite) -> UUID:
        """An open intent of the tenant's, to publish there."""
        owner = {"org_id": self.tenant.org_id, "domain_id": self.tenant.domain_id}
        intent_id, content_id, target_id = uuid4(), uuid4(), uuid4()
        secret = WordPressCredentials(
            username=site.username, application_password=SecretStr(site.application_password)
        )
        target = {
            "id": target_id,
            "name": target_id.hex,
            "adapter": "wordpress",
            "address": site.url,
            "credentials": credential_box(self.settings).encrypt(target_id, secret),
        }
        content = {"id": content_id, "title": "Rye bread", "body": "Flour, water, time."}
        content |= {"content_type": "article", "status": "publishing"}
        intent = {
            "id": intent_id,
            "content_id": content_id,
            "target_id": target_id,
            "status": "pending",
        }
        with UnitOfWork(self.engine, self.tenant.org_id) as unit:
            for table, row in (
                (publish_targets, target),
                (content_items, content),
                (publish_intents, intent),
            ):
                unit.connection.execute(insert(table).values({**owner, **row}))
        return intent_id

    def publish(self, intent_id: UUID, **options: Any) -> None:
        """Send the job and let a worker do what there is to do."""
        job = PublishExecution(org_id=self.tenant.org_id, intent_id=intent_id, retry=NO_RETRY)
        self._actor.send_with_options(args=(job,), **options)
        work(self.broker, "publishing")

    def rows(self, table: Table) -> list[RowMapping]:
        """All of the tenant's."""
        with UnitOfWork(self.engine, self.tenant.org_id) as unit:
            return list(unit.connection.execute(select(table)).mappings())

    def statuses(self) -> tuple[str, str, str]:
        """Of the only execution, intent and content."""
        ((execution,), (intent,), (content,)) = (
            self.rows(table) for table in (job_executions, publish_intents, content_items)
        )
        return execution["status"], intent["status"], content["status"]

    def assert_published_once(self, site: WordPressSite) -> None:
        """One post that readers see, one success row, and everything says so."""
        (post,) = site.posts("publish")
        assert self.statuses() == ("succeeded", "published", "published")
        (success,) = [row for row in self.rows(publish_executions) if row["outcome"] == "success"]
        assert success["external_id"] == str(post.id)


@pytest.fixture
def desk(engine: Engine, tenant: Tenant, settings: Settings) -> Iterator[Desk]:
    """One, with circuits of its own."""
    breakers = CircuitBreakers(MemoryCircuitBreakerStore())
    with site_publishers(settings) as sites:
        handler = publish_execution(settings, engine, sites, breakers)
        yield Desk(engine, tenant, settings, handler, breakers)


def test_a_post_is_public_in_the_end(desk: Desk, site: WordPressSite) -> None:
    """Under a slug that names the intent."""
    intent_id = desk.intent(site)

    desk.publish(intent_id)

    desk.assert_published_once(site)
    (post,) = site.posts()
    assert post.slug.startswith("rye-bread-")
    (outcome,) = desk.outcomes
    assert isinstance(outcome, PublishOutcome)
    assert (outcome.status, outcome.external_id) == ("published", str(post.id))


def test_the_platforms_own_handler_publishes(desk: Desk, site: WordPressSite) -> None:
    """As `build_services` wires it, with circuits in Redis; the second time it is done already."""
    job = PublishExecution(org_id=desk.tenant.org_id, intent_id=desk.intent(site))

    with build_services(desk.settings) as services:
        assert services.publish_execution(job).status == "published"
        assert services.publish_execution(job).status == "already_published"

    desk.assert_published_once(site)


@pytest.mark.parametrize("operation", ["create", "update"])
@pytest.mark.parametrize("handled", [True, False], ids=["done", "not done"])
def test_a_connection_that_closes_half_way_makes_no_second_post(
    desk: Desk, site: WordPressSite, operation: Any, handled: bool
) -> None:
    """After the post was created above all, which publishes twice elsewhere."""
    site.fail(operation, HangUp(handled=handled))

    desk.publish(desk.intent(site))

    desk.assert_published_once(site)
    assert len(site.posts()) == 1
    assert len(desk.outcomes) == 2
    assert desk.rows(job_executions)[0]["attempts"] == 2


def test_a_site_that_stays_down_fails_the_intent_at_the_last_attempt(desk: Desk, site: WordPressSite) -> None:
    """Not earlier: one failure row after four attempts, and the lease is free."""
    site.fail("list", *[Answer(status=500)] * 4)

    desk.publish(desk.intent(site))

    assert len(desk.outcomes) == 4
    assert desk.statuses() == ("failed", "failed", "failed")
    (failure,) = desk.rows(publish_executions)
    assert (failure["outcome"], failure["error_category"]) == ("failure", "network")
    (execution,) = desk.rows(job_executions)
    assert (execution["attempts"], execution["lease_until"]) == (4, None)
    assert site.posts() == []


def test_a_dead_letter_that_is_sent_again_publishes(desk: Desk, site: WordPressSite) -> None:
    """Another message of the same intent starts again."""
    site.fail("list", *[Answer(status=500)] * 4)
    intent_id = desk.intent(site)
    desk.publish(intent_id)

    desk.publish(intent_id)

    desk.assert_published_once(site)


def test_a_site_that_asks_for_time_gets_it_at_no_charge(desk: Desk, site: WordPressSite) -> None:
    """Parked until then with the lease given back, and its circuit is open so that nobody else calls it."""
    site.fail("create", Answer(status=429, headers={"Retry-After": "600"}))
    desk.publish(desk.intent(site))

    (message,) = desk.broker.parked
    assert desk.broker.delays_ms == [600_000]
    assert message.options.get("retries", 0) == 0
    assert desk.statuses() == ("pending", "publishing", "publishing")
    port = site.url.rpartition(":")[2]
    assert desk.breakers.state(f"publish:wordpress:127.0.0.1:{port}").state == "open"

    requests = site.requests
    desk.publish(UUID(str(desk.rows(publish_intents)[0]["id"])))

    assert site.requests == requests
    assert isinstance(desk.outcomes[-1], Parked)
    assert desk.statuses() == ("pending", "publishing", "publishing")


def test_a_site_that_is_down_does_not_stop_another(desk: Desk, site: WordPressSite) -> None:
    """One customer's circuit is open; the next one's post is published."""
    desk.breakers.force_open(
        f"publish:wordpress:127.0.0.1:{site.url.rpartition(':')[2]}", "maintenance", who="a test"
    )
    with wordpress_site() as other:
        desk.publish(desk.intent(site))
        desk.publish(desk.intent(other))
        assert [post.status for post in other.posts()] == ["publish"]
    assert site.requests == 0


def test_a_lease_that_is_held_parks_the_job_until_it_ends(desk: Desk, site: WordPressSite) -> None:
    """At no charge, however often; a killed worker's lease runs out and its message is run again."""
    intent_id = desk.intent(site)
    killed_worker(desk, intent_id)

    desk.publish(intent_id, max_retries=0)

    desk.assert_published_once(site)
    parks = desk.outcomes[:-1]
    assert parks
    assert all(isinstance(park, Parked) and park.key == "lease:publish_execution" for park in parks)
    assert all(0 < delay <= 2_001 for delay in desk.broker.delays_ms)


def killed_worker(desk: Desk, intent_id: UUID) -> None:
    """Leave what a worker leaves that is killed right after it took the lease."""
    with UnitOfWork(desk.engine, desk.tenant.org_id) as unit:
        unit.connection.execute(
            insert(job_executions).values(
                org_id=desk.tenant.org_id,
                id=uuid4(),
                job_type="publish_execution",
                key=str(intent_id),
                status="running",
                fence=1,
                attempts=1,
                lease_until=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, 2),
            )
        )
        unit.connection.execute(update(publish_intents).values(status="publishing"))


def test_a_lease_that_is_lost_parks_the_job(desk: Desk, site: WordPressSite) -> None:
    """Whoever took over finishes; the loser makes nothing public and removes its own draft."""
    site.fail("create", Hold())
    intent_id = desk.intent(site)

    def take_over() -> None:
        site.wait_until_holding()
        with UnitOfWork(desk.engine, desk.tenant.org_id) as unit:
            unit.connection.execute(
                update(job_executions).values(
                    fence=job_executions.c.fence + 1,
                    lease_until=func.clock_timestamp(),
                    state={"claim": "another's"},
                )
            )
        site.release()

    with running(take_over):
        desk.publish(intent_id, max_retries=0)

    desk.assert_published_once(site)
    assert len(site.posts()) == 1
    first, *_ = desk.outcomes
    assert isinstance(first, Parked)
    assert first.cause == "another worker took it over"
    assert "delete" in site.operations


@contextmanager
def running(work: Callable[[], None]) -> Iterator[None]:
    """In a thread, beside the block."""
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(work)
        yield
        done.result()


def test_a_time_limit_gives_the_lease_back(desk: Desk, site: WordPressSite) -> None:
    """The closing transaction has seconds of its own; the next attempt publishes."""
    site.fail("create", Hold())

    desk.publish(desk.intent(site), time_limit=700)

    desk.assert_published_once(site)
    first, *_ = desk.outcomes
    assert not isinstance(first, PublishOutcome)
    assert not any(isinstance(each, Parked) for each in desk.outcomes)


def test_an_intent_of_another_org_is_not_found(
    desk: Desk, site: WordPressSite, new_tenant: Callable[[], Tenant]
) -> None:
    """In the words of one that does not exist."""
    intent_id = desk.intent(site)
    stranger = PublishExecution(org_id=new_tenant().org_id, intent_id=intent_id)

    with pytest.raises(NotFound, match=f"publish intent {intent_id} not found"):
        desk.handler(stranger)

    assert site.requests == 0
