"""The script that says that a worker lives."""

from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from tests.broker.supervisor.supervised import ROOT

pytestmark = pytest.mark.slow

SCRIPT: str = (ROOT / "broker" / "lua" / "beat.lua").read_text()


def test_a_known_worker_is_seen_at_the_servers_time(servers: Servers) -> None:
    """Whatever the clocks of the machines say."""
    base = f"beat-{uuid4().hex}:{{0}}"
    with redis.Redis.from_url(servers.redis_url) as client:
        client.zadd(f"{base}:workers", {"me": 5, "other": 7})
        before = client.time()

        assert [client.eval(SCRIPT, 1, base, "me") for _ in range(50)] == [1] * 50

        after = client.time()
        seen = client.zscore(f"{base}:workers", "me")
        assert before[0] * 1_000 + before[1] // 1_000 <= seen <= after[0] * 1_000 + after[1] // 1_000
        assert client.zscore(f"{base}:workers", "other") == 7
        client.delete(f"{base}:workers")


def test_an_unknown_worker_stays_unknown(servers: Servers) -> None:
    """No key is made for it."""
    base = f"beat-{uuid4().hex}:{{0}}"
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.eval(SCRIPT, 1, base, "me") == 0
        assert client.exists(f"{base}:workers") == 0


def test_the_script_says_what_it_touches() -> None:
    """Its header names the key it is given and the one it derives."""
    header = [row for row in SCRIPT.splitlines() if row.startswith("--")]

    assert [
        name
        for name in ("KEYS: base", "DERIVED: base:workers", "ARGV: worker_id")
        if f"-- {name}" not in header
    ] == []
