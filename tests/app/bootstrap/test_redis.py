"""The platform's Redis client, for every form of its address."""

from typing import Any

import pytest
import redis

from app.bootstrap.broker import build_broker
from app.bootstrap.redis import redis_client
from app.settings import Settings, load_settings


def settings(monkeypatch: pytest.MonkeyPatch, url: str) -> Settings:
    """With this address."""
    monkeypatch.setenv("REDIS_URL", url)
    return load_settings()


def test_sentinel_names_the_primary_for_broker_and_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """With time-outs that fit a fail-over, and retries of the platform's."""
    found = settings(monkeypatch, "redis+sentinel://me:pw@one:1,two:2/main/3")

    client = redis_client(found)

    pool: Any = client.connection_pool
    assert pool.service_name == "main"
    assert [each.connection_pool.connection_kwargs["host"] for each in pool.sentinel_manager.sentinels] == [
        "one",
        "two",
    ]
    assert (pool.connection_kwargs["db"], pool.connection_kwargs["socket_timeout"]) == (3, 2.0)
    of_broker: Any = build_broker(found).client.connection_pool
    assert of_broker.service_name == "main"


def test_no_option_of_the_address_changes_what_answers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform reads bytes."""
    client = redis_client(settings(monkeypatch, "redis://far?decode_responses=true"))

    assert client.connection_pool.connection_kwargs["decode_responses"] is False


def test_without_an_address_the_first_use_says_what_to_do() -> None:
    """Importing works."""
    with pytest.raises(redis.ConnectionError, match="set REDIS_URL"):
        redis_client(Settings(redis_url=None)).ping()
