"""What an older release wrote is converted batch by batch, and converting it again changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from broker.keys import base_key, record_of
from broker.schema import Schema
from broker.scripts import Script
from tests.upgrade.test_redis_of_0_1_0 import restore

pytestmark = pytest.mark.slow

WRITTEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "upgrade" / "0.1.0" / "redis.json").read_text()
)


@pytest.fixture
def base(raw: "redis.Redis") -> Iterator[str]:
    """The base key of what 0.1.0 wrote, under a name of its own."""
    namespace = uuid4().hex
    old, new = base_key(WRITTEN["namespace"]), base_key(namespace)
    for key, kept in WRITTEN["keys"].items():
        if key.startswith(f"{old}:"):
            restore(raw, new + key.removeprefix(old), kept)
    yield new
    for key in raw.scan_iter(f"{new}:*"):
        raw.delete(key)


def test_what_was_delayed_stands_by_org_as_well(raw: "redis.Redis", base: str) -> None:
    """Each with the time when it is due, and each org by its first."""
    delayed = _scores(raw, f"{base}:qd:images")
    assert len(delayed) >= 3

    Schema(raw, base).convert()

    by_org = {
        key.decode().rpartition(":")[2]: _scores(raw, key) for key in raw.scan_iter(f"{base}:qo:images:*")
    }
    assert {each: due for own in by_org.values() for each, due in own.items()} == delayed
    orgs = {org.encode(): min(own.values()) for org, own in by_org.items()}
    assert _scores(raw, f"{base}:qn:images") == orgs
    _check_that_again_changes_nothing(raw, base)


def test_batches_of_any_size_convert_all(raw: "redis.Redis") -> None:
    """Over several queues; also many that are due at one time."""
    base = base_key(uuid4().hex)
    for number in range(30):
        queue = f"q{number % 3}"
        raw.hset(f"{base}:m", f"m{number}", record_of(queue, "a", "crop:0", "u", b"{}"))
        raw.hincrby(f"{base}:n", queue)
        raw.zadd(f"{base}:qd:{queue}", {f"m{number}": 1_000 + number // 12})
    cursor, calls = b"", 0
    while cursor := Script("convert_delayed")(raw, base, [cursor, 2]):
        calls += 1

    assert [raw.zcard(f"{base}:qo:q{number}:a") for number in range(3)] == [10, 10, 10]
    assert calls >= 15
    for key in raw.scan_iter(f"{base}:*"):
        raw.delete(key)


def _check_that_again_changes_nothing(client: "redis.Redis", base: str) -> None:
    before = _dump(client, base)
    client.delete(f"{base}:schema")
    Schema(client, base).convert()
    assert _dump(client, base) == before


def _scores(client: "redis.Redis", key: str | bytes) -> dict[bytes, float]:
    scores: dict[bytes, float] = dict(client.zrange(key, 0, -1, withscores=True))  # type: ignore[arg-type]
    return scores


def _dump(client: "redis.Redis", base: str) -> dict[bytes, bytes | None]:
    return {key: client.dump(key) for key in client.scan_iter(f"{base}:*")}
