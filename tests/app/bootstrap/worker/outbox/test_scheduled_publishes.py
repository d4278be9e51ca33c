"""From content that is due to publishing jobs: the scheduler, the outbox, a relay and a real worker."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from app.bootstrap.jobs.content_scheduler import content_scheduler
from app.bootstrap.worker.outbox import build_outbox, relay_outbox
from app.bootstrap.worker.periodic_tasks import BackgroundTasks
from app.embedded import Servers
from app.settings import Settings
from domain.publish_execution import PublishExecution
from middleware import Contracts, Retries
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.redis import RedisIdempotencyStore
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.redis import RedisOrgLimitsStore
from tests.adapters.database.due_content import add_content, add_target, forget_everything, intents
from tests.databases import Database
from tests.middleware.eventually import PATIENCE_S, eventually
from tests.middleware.recorded_metrics import Emitted, handling
from tests.tenants import Tenant

pytestmark = pytest.mark.slow

#: Items of each org.
ITEMS = 20


class Site:
    """Where everything is published, as slowly as the test likes."""

    def __init__(self) -> None:
        self.published: list[UUID] = []
        self.in_flight: Counter[UUID] = Counter()
        self.most: Counter[UUID] = Counter()
        self.open = threading.Event()
        self._lock = threading.Lock()

    def publish(self, job: PublishExecution) -> None:
        with self._lock:
            self.in_flight[job.org_id] += 1
            self.most[job.org_id] = max(self.most[job.org_id], self.in_flight[job.org_id])
        assert self.open.wait(PATIENCE_S)
        with self._lock:
            self.in_flight[job.org_id] -= 1
            self.published.append(job.intent_id)


def test_of_one_run_five_publishes_of_an_org_are_in_flight(
    engine: Engine, database: Database, servers: Servers, new_tenant: Callable[[], Tenant]
) -> None:
    """Sixteen threads, two orgs, forty items: five of each org at a time, one org as if the other were not there."""
    forget_everything(engine)
    settings = Settings.model_validate(
        {"database_url": database.worker_url, "redis_url": servers.redis_url, "max_concurrent_publishes": 5}
    )
    orgs = [new_tenant(), new_tenant()]
    for tenant in orgs:
        add_target(engine, tenant)
        add_content(engine, tenant, ITEMS)
    site, emitted, namespace = Site(), Emitted(), f"t{uuid4().hex}"
    client: Any = redis.Redis.from_url(servers.redis_url)
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace=namespace,
        middleware=[
            Contracts(),
            Idempotency(RedisIdempotencyStore(client, prefix=namespace)),
            OrgLimits(RedisOrgLimitsStore(client, prefix=namespace)),
            Retries(max_retries=0),
            BackgroundTasks(settings, {"outbox": relay_outbox}),
        ],
    )

    @dramatiq.actor(broker=broker, queue_name="publishing")
    def publish_execution(job: PublishExecution) -> None:
        site.publish(job)

    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=16)
    worker.start()
    with handling(emitted):
        try:
            report = content_scheduler(settings, engine, build_outbox(lambda: broker))()
            assert (report.processed, report.failed) == (2 * ITEMS, 0)
            # Everything else has been tried, and waits for its turn.
            waiting = 2 * (ITEMS - 5)
            assert eventually(
                lambda: len(emitted.of("messages_parked_total", actor="publish_execution")) >= waiting
            )
            assert [site.in_flight[tenant.org_id] for tenant in orgs] == [5, 5]
            site.open.set()
            assert eventually(lambda: len(site.published) == 2 * ITEMS)
        finally:
            site.open.set()
            worker.stop()
            broker.close()
            client.close()
    assert [site.most[tenant.org_id] for tenant in orgs] == [5, 5]
    opened = {intent_id for tenant in orgs for intent_id, *_ in intents(engine, tenant)}
    assert (set(site.published), len(site.published)) == (opened, 2 * ITEMS)
