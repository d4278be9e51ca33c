"""What every store of requests to cancel promises, in memory and in Redis."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from middleware import StoreUnavailable
from middleware.cancellation import redis as in_redis
from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cancellation.redis import RedisCancellationStore
from middleware.cancellation.requests import CancellationClient, CancellationStore, CancelRequest
from tests.middleware.aged_stores import age
from tests.middleware.own_server import own_valkey

MINUTE_MS = 60_000


@dataclass
class Kept:
    """A store, and a way to let time pass for it."""

    store: CancellationStore
    pass_ms: Callable[[float], None]


@pytest.fixture(params=["memory", "redis", "redis, decoding responses"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Every store there is."""
    passed = [0.0]
    if request.param == "memory":

        def pass_ms(by_ms: float) -> None:
            passed[0] += by_ms

        yield Kept(MemoryCancellationStore(now_ms=lambda: 1e12 + passed[0]), pass_ms)
        return
    servers: Servers = request.getfixturevalue("servers")
    prefix = f"t{uuid4().hex}"
    with (
        redis.Redis.from_url(servers.redis_url) as plain,
        redis.Redis.from_url(servers.redis_url, decode_responses="decoding" in request.param) as client,
    ):
        yield Kept(
            RedisCancellationStore(client, prefix=prefix),
            lambda by_ms: age(plain, f"{{{prefix}:cancellations}}", by_ms),
        )


def request(name: str, **more: object) -> CancelRequest:
    """A request for one message, kept for a minute."""
    given: dict[str, object] = {"request_id": name, "message_id": name, "keep_for_ms": MINUTE_MS, **more}
    return CancelRequest(**given)  # type: ignore[arg-type]  # tests give what fits


def names(store: CancellationStore, since: int = 0) -> list[str]:
    """Ids of what changed."""
    return [each.request_id for each in store.changes(since).requests]


def test_nothing_is_asked_for_at_first(kept: Kept) -> None:
    """An empty store has no changes, and asking again changes nothing."""
    assert kept.store.changes(0).requests == []
    assert kept.store.changes(kept.store.changes(0).version).requests == []


def test_a_request_comes_back_as_it_was_made(kept: Kept) -> None:
    """With the store's time on it, and how long it is still in force."""
    kept.store.add(request("r", message_id=None, actor="a", org='o"{}', queue="q"))

    (got,) = kept.store.changes(0).requests
    assert (got.request_id, got.message_id, got.actor, got.org, got.queue) == ("r", None, "a", 'o"{}', "q")
    assert got.requested_at_ms > 0
    assert 0 < got.keep_for_ms <= MINUTE_MS
    assert not got.withdrawn


def test_a_request_for_one_orgs_message_keeps_both(kept: Kept) -> None:
    """Without its org it would mean whoever's message has that id."""
    kept.store.add(request("a:r", message_id="r", org="a"))

    (got,) = kept.store.changes(0).requests
    assert (got.request_id, got.message_id, got.org) == ("a:r", "r", "a")


def test_only_what_is_new_is_reported_again(kept: Kept) -> None:
    """Whoever asks with the last version hears each change once."""
    kept.store.add(request("one"))
    first = kept.store.changes(0)
    kept.store.add(request("two"))
    second = kept.store.changes(first.version)

    assert [each.request_id for each in first.requests] == ["one"]
    assert [each.request_id for each in second.requests] == ["two"]
    assert kept.store.changes(second.version).requests == []


def test_asking_twice_for_the_same_is_one_request(kept: Kept) -> None:
    """The later one stands, and is told as new."""
    kept.store.add(request("one"))
    version = kept.store.changes(0).version
    kept.store.add(request("one", keep_for_ms=2 * MINUTE_MS))

    assert names(kept.store) == ["one"]
    (again,) = kept.store.changes(version).requests
    assert again.keep_for_ms > MINUTE_MS


def test_a_withdrawal_is_reported_like_a_request(kept: Kept) -> None:
    """Processes that know of the request hear that it is over."""
    kept.store.add(request("one"))
    version = kept.store.changes(0).version

    assert kept.store.withdraw("one")

    (reported,) = kept.store.changes(version).requests
    assert (reported.request_id, reported.withdrawn) == ("one", True)


def test_only_what_is_in_force_can_be_withdrawn(kept: Kept) -> None:
    """Once, and not after its time."""
    assert not kept.store.withdraw("never made")
    kept.store.add(request("one"))
    assert kept.store.withdraw("one")
    assert not kept.store.withdraw("one")
    kept.store.add(request("two"))
    kept.pass_ms(MINUTE_MS)
    assert not kept.store.withdraw("two")


def test_a_request_can_be_made_again_after_it_was_withdrawn(kept: Kept) -> None:
    """The last word counts."""
    kept.store.add(request("one"))
    kept.store.withdraw("one")
    kept.store.add(request("one"))

    assert [each.withdrawn for each in kept.store.changes(0).requests] == [False]


def test_a_request_ends_with_its_time(kept: Kept) -> None:
    """It is not told any more, and others are."""
    kept.store.add(request("short"))
    kept.store.add(request("long", keep_for_ms=3 * MINUTE_MS))

    kept.pass_ms(MINUTE_MS)

    assert names(kept.store) == ["long"]
    kept.store.add(request("later"))
    assert names(kept.store) == ["long", "later"]


def test_versions_grow_after_everything_was_lost(kept: Kept) -> None:
    """A process that has heard of old requests hears of the first one after them."""
    kept.store.add(request("one"))
    version = kept.store.changes(0).version
    kept.pass_ms(MINUTE_MS)

    kept.store.add(request("two"))

    assert names(kept.store, version)[-1:] == ["two"]


def test_versions_grow_when_the_clock_went_back(kept: Kept) -> None:
    """A process that has heard of requests from the future hears of the next one."""
    kept.store.add(request("one"))
    kept.pass_ms(-MINUTE_MS)
    version = kept.store.changes(0).version

    kept.store.add(request("two"))
    kept.store.withdraw("one")

    assert names(kept.store, version) == ["two", "one"]


def test_requests_made_at_once_are_all_reported(kept: Kept) -> None:
    """Eight threads, no request lost, none told twice, whenever somebody looks."""
    reported: list[str] = []
    version = 0
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(kept.store.add, request(f"r{number}")) for number in range(80)]
        while not all(each.done() for each in made):
            changes = kept.store.changes(version)
            reported += [each.request_id for each in changes.requests]
            version = changes.version
    for each in made:
        each.result()
    reported += names(kept.store, version)

    assert sorted(reported) == sorted(f"r{number}" for number in range(80))


def test_many_changes_are_reported_in_parts(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client puts the parts together, oldest first."""
    monkeypatch.setattr(in_redis, "BATCH_SIZE", 3)
    for number in range(8):
        kept.store.add(request(f"r{number}"))
    kept.store.withdraw("r0")

    in_force = CancellationClient(kept.store).in_force()

    assert [each.request_id for each in in_force] == [f"r{number}" for number in range(1, 8)]


def test_the_keys_end_with_the_last_request(servers: Servers) -> None:
    """Nothing stays for ever, and all keys are in one slot."""
    prefix = f"t{uuid4().hex}"
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        store = RedisCancellationStore(client, prefix=prefix)
        store.add(request("long", keep_for_ms=10 * MINUTE_MS))
        store.add(request("short"))

        keys = [str(key) for key in client.scan_iter(match=f"*{prefix}*")]
        assert len(keys) == 3
        assert {key.partition("}")[0] for key in keys} == {f"{{{prefix}:cancellations"}
        for key in keys:
            assert 9 * MINUTE_MS < client.pttl(key) <= 10 * MINUTE_MS


def test_a_server_that_is_gone_is_said_so() -> None:
    """Every method raises the guards' own error, and all works again when the server is back."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisCancellationStore(client)
        store.add(request("one"))
        server.stop()

        for call in (
            lambda: store.add(request("two")),
            lambda: store.withdraw("one"),
            lambda: store.changes(0),
        ):
            with pytest.raises(StoreUnavailable):
                call()

        server.start()
        store.add(request("three"))
        assert names(store) == ["three"]
