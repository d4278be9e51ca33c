"""From content that is due to posts on a site: scheduler, outbox, relay, workers and adapter together."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import UUID, uuid4

import dramatiq
import redis
from pydantic import SecretStr
from sqlalchemy import func, insert, select

from adapters.credentials import CredentialBox, WordPressCredentials
from adapters.database.engine import create_engine
from adapters.database.migrate import upgrade
from adapters.database.tables import content_items, domain_registry, orgs, publish_targets
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.redis import NAMESPACE
from app.dev.wordpress_site import WordPressSite, wordpress_site
from app.settings import as_environment
from broker import FairRedisBroker
from tests.databases import Database
from tests.middleware.own_server import own_valkey

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90
SECRET_KEY = "k" * 32
ITEMS = 40
#: Far more than five: it is not the threads that limit.
THREADS = 16


def test_a_run_never_has_more_than_five_publishes_in_flight(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    """Forty articles are due and sixteen threads idle: the site sees five at once at most, and each article once."""
    database = new_database()
    upgrade(database.owner_url)
    with own_valkey() as valkey, wordpress_site(delay_s=0.05) as site:
        org_id = _fill(database, site)
        values = {
            "database_url": database.worker_url,
            "redis_url": valkey.url,
            "home": str(tmp_path),
            "secret_keys": [SECRET_KEY],
            "max_active_jobs_per_org": 100,
            "publish_allow_http": True,
            "publish_allowed_networks": ["127.0.0.0/8"],
        }
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "broker", "worker", "actors", "--threads", str(THREADS)],
                cwd=ROOT,
                env={**os.environ, **as_environment(values)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _send_scheduler(valkey.url)
            _wait_until_published(database, org_id)
        finally:
            os.killpg(worker.pid, signal.SIGTERM)
            worker.wait(PATIENCE_S)

        assert len(site.posts("publish")) == len(site.posts()) == ITEMS
        assert len({post.title for post in site.posts()}) == ITEMS
        assert 2 <= site.most_in_flight <= 5


def _fill(database: Database, site: WordPressSite) -> UUID:
    org_id, domain_id, target_id = uuid4(), uuid4(), uuid4()
    credentials = WordPressCredentials(
        username=site.username, application_password=SecretStr(site.application_password)
    )
    mine = {"org_id": org_id, "domain_id": domain_id}
    due = {
        "content_type": "article",
        "status": "scheduled",
        "publish_at": datetime.now(UTC) - timedelta(hours=1),
    }
    engine = create_engine(database.worker_url)
    with SystemUnitOfWork(engine) as unit:
        write = unit.connection.execute
        write(insert(orgs).values(id=org_id, name="An org"))
        write(insert(domain_registry).values(org_id=org_id, id=domain_id, host="site.example"))
        write(
            insert(publish_targets).values(
                **mine,
                id=target_id,
                name="Site",
                adapter="wordpress",
                address=site.url,
                credentials=CredentialBox((SecretStr(SECRET_KEY),)).encrypt(target_id, credentials),
            )
        )
        write(
            insert(content_items).values(
                [{**mine, **due, "id": uuid4(), "title": f"Article {number}"} for number in range(ITEMS)]
            )
        )
    engine.dispose()
    return org_id


def _send_scheduler(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        broker = FairRedisBroker(client=client, namespace=NAMESPACE, middleware=[])
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name="publishing", actor_name="content_scheduler", args=(), kwargs={}, options={}
        )
        broker.declare_queue("publishing")
        broker.enqueue(message)


def _wait_until_published(database: Database, org_id: UUID) -> None:
    engine, never = create_engine(database.worker_url), Event()
    published = (content_items.c.org_id == org_id) & (content_items.c.status == "published")
    for _ in range(PATIENCE_S * 5):
        with SystemUnitOfWork(engine) as unit:
            count = unit.connection.scalar(select(func.count()).select_from(content_items).where(published))
        if count == ITEMS:
            break
        never.wait(0.2)
    engine.dispose()
    assert count == ITEMS
