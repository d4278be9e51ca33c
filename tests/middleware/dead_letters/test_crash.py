"""A worker is killed between a letter and its message's rejection: one letter, one rejected message."""

import signal
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from tests.middleware.brokers import close, dead
from tests.middleware.crash.crash_broker import KINDS
from tests.middleware.crash.scenario import ROOT
from tests.middleware.dead_letters.dying_worker import broker_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_killed_before_the_rejection_leaves_one_letter(
    servers: Servers, redis_client: redis.Redis, kind: str
) -> None:
    """The next worker is handed the message, fails it again, and finds the letter written."""
    namespace = uuid4().hex
    broker: Any = broker_of(kind, servers.redis_url, namespace)
    message = broker.get_actor("fails").send()
    spool = RedisDeadLetterSpool(redis_client, prefix=namespace)
    store = RedisDeadLetterStore(redis_client, prefix=namespace).of_every_org()

    assert _worker(kind, servers.redis_url, namespace, "killed") == -signal.SIGKILL
    assert spool.depth() + len(store.list()) == 1
    assert broker.do_qsize("default") == 1

    assert _worker(kind, servers.redis_url, namespace, "spared") == 0
    assert [letter.message_id for letter in store.list()] == [message.message_id]
    assert spool.depth() == 0
    assert broker.do_qsize("default") == 0
    assert len(dead(broker, "default")) == 1
    broker.flush_all()
    close(broker)


def _worker(*arguments: str) -> int:
    """Run a worker process until it ends; its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "tests.middleware.dead_letters.dying_worker", *arguments],
        cwd=ROOT,
        timeout=60,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode
