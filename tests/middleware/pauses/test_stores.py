"""What every store of pauses promises, in memory and in Redis."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from middleware import PauseControl, StoreUnavailable
from middleware.pauses.memory import MemoryPauseStore
from middleware.pauses.pauses import Pause, PauseStore, PauseTarget
from middleware.pauses.redis import RedisPauseStore
from tests.middleware.own_server import own_valkey

MINUTE_MS = 60_000


@dataclass
class Kept:
    """A store, and a way to let time pass for it."""

    store: PauseStore
    pass_ms: Callable[[int], None]


@pytest.fixture(params=["memory", "redis", "redis, decoding responses"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Every store there is."""
    passed = [0]
    if request.param == "memory":

        def pass_ms(by_ms: int) -> None:
            passed[0] += by_ms

        yield Kept(MemoryPauseStore(now_ms=lambda: 1e12 + passed[0]), pass_ms)
        return
    servers: Servers = request.getfixturevalue("servers")
    prefix = f"t{uuid4().hex}"
    with (
        redis.Redis.from_url(servers.redis_url) as plain,
        redis.Redis.from_url(servers.redis_url, decode_responses="decoding" in request.param) as client,
    ):
        yield Kept(RedisPauseStore(client, prefix=prefix), lambda by_ms: age(plain, prefix, by_ms))
        plain.delete(*keys(prefix))


def keys(prefix: str) -> list[str]:
    """The two keys of a store."""
    return [f"{{{prefix}:pauses}}:{part}" for part in ("kept", "version")]


def age(client: redis.Redis, prefix: str, by_ms: int) -> None:
    """Make everything in a Redis store older, since its clock is the server's."""
    server: Any = client
    pauses, version = keys(prefix)
    for name, body in server.hgetall(pauses).items():
        pause = json.loads(body)
        times = {each: pause[each] - by_ms for each in ("since_ms", "until_ms") if each in pause}
        server.hset(pauses, name, json.dumps({**pause, **times}))
    if server.exists(version):
        server.set(version, int(server.get(version)) - by_ms * 1_000, keepttl=True)
    for key in (pauses, version):
        left_ms = server.pttl(key)
        if left_ms > 0:
            server.pexpire(key, max(0, left_ms - by_ms))


def put(kept: Kept, queue: str, *, for_ms: int | None = None, **more: Any) -> Pause:
    """Pause a queue."""
    return kept.store.put(
        Pause(what=PauseTarget(queue=queue), **{"who": "ada", "reason": "why", **more}), for_ms=for_ms
    )


def queues(kept: Kept) -> list[str | None]:
    """The queues that are paused."""
    now = kept.store.read(-1)
    assert now is not None
    return [each.what.queue for each in now.pauses]


def version(kept: Kept) -> int:
    """What to ask with the next time."""
    now = kept.store.read(-1)
    assert now is not None
    return now.version


def test_nothing_is_paused_at_first(kept: Kept) -> None:
    """An empty store says so, and then that nothing has changed."""
    assert queues(kept) == []
    assert kept.store.read(version(kept)) is None


@pytest.mark.parametrize(
    "what",
    [
        PauseTarget(queue="q.eu", level="customer"),
        PauseTarget(actor="a"),
        PauseTarget(org='o"{}ö\n'),
        PauseTarget(actor="a", org="o"),
    ],
    ids=str,
)
def test_a_pause_comes_back_as_it_was_made(kept: Kept, what: PauseTarget) -> None:
    """With the store's times in it."""
    made = kept.store.put(Pause(what=what, who="ada", reason='"because"'), for_ms=MINUTE_MS)
    now = kept.store.read(-1)

    assert now is not None
    assert now.pauses == [made]
    assert (made.what, made.who, made.reason) == (what, "ada", '"because"')
    assert made.until_ms == made.since_ms + MINUTE_MS
    assert 0 <= now.now_ms - made.since_ms < MINUTE_MS


def test_a_pause_without_an_end_has_none(kept: Kept) -> None:
    """However much time passes."""
    assert put(kept, "one").until_ms is None
    kept.pass_ms(400 * 24 * 60 * MINUTE_MS)
    assert queues(kept) == ["one"]


def test_whoever_knows_all_is_asked_nothing(kept: Kept) -> None:
    """Until something is put or removed."""
    put(kept, "one")
    before = version(kept)
    assert kept.store.read(before) is None

    put(kept, "two")
    assert kept.store.read(before) is not None

    before = version(kept)
    kept.store.remove(PauseTarget(queue="one"))
    assert kept.store.read(before) is not None


def test_the_last_resume_is_reported_and_so_is_the_next_pause(kept: Kept) -> None:
    """Also to one that asks only now and then, and missed the moment when nothing was paused."""
    put(kept, "one")
    with_one = version(kept)
    kept.store.remove(PauseTarget(queue="one"))
    with_none = version(kept)
    assert kept.store.read(with_one) is not None

    put(kept, "two")
    assert kept.store.read(with_one) is not None
    assert kept.store.read(with_none) is not None


def test_pausing_twice_is_one_pause(kept: Kept) -> None:
    """The later one stands, with its own end."""
    put(kept, "one", for_ms=MINUTE_MS)
    put(kept, "two")
    put(kept, "one", who="bob", for_ms=3 * MINUTE_MS)
    kept.pass_ms(2 * MINUTE_MS)

    now = kept.store.read(-1)
    assert now is not None
    assert sorted((each.what.queue, each.who) for each in now.pauses) == [("one", "bob"), ("two", "ada")]


def test_only_what_is_in_force_can_be_removed(kept: Kept) -> None:
    """Once, and not after its end; and nothing else goes with it."""
    assert not kept.store.remove(PauseTarget(queue="one"))
    put(kept, "one")
    put(kept, "two")
    put(kept, "short", for_ms=MINUTE_MS)
    assert kept.store.remove(PauseTarget(queue="one"))
    assert not kept.store.remove(PauseTarget(queue="one"))
    assert not kept.store.remove(PauseTarget(actor="two"))
    kept.pass_ms(MINUTE_MS)
    assert not kept.store.remove(PauseTarget(queue="short"))
    assert queues(kept) == ["two"]


def test_a_pause_ends_with_its_time(kept: Kept) -> None:
    """It is not told any more, and others are."""
    put(kept, "short", for_ms=MINUTE_MS)
    put(kept, "long", for_ms=3 * MINUTE_MS)
    kept.pass_ms(MINUTE_MS)
    assert queues(kept) == ["long"]
    put(kept, "later")
    assert sorted(map(str, queues(kept))) == ["later", "long"]
    kept.pass_ms(3 * MINUTE_MS)
    assert queues(kept) == ["later"]


def test_pauses_made_at_once_all_stand(kept: Kept) -> None:
    """Eight threads, none lost, and whoever looked before is told."""
    before = version(kept)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(kept, f"q{number}"), range(40)))

    assert kept.store.read(before) is not None
    assert sorted(map(str, queues(kept))) == sorted(f"q{number}" for number in range(40))


def test_the_keys_end_with_the_last_pause(servers: Servers) -> None:
    """Those of pauses with an end end with it; one without keeps them; nothing paused leaves nothing."""
    prefix = f"t{uuid4().hex}"
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        switch = PauseControl(RedisPauseStore(client, prefix=prefix))
        switch.pause(queue="long", who="ada", for_ms=10 * MINUTE_MS)
        switch.pause(queue="short", who="ada", for_ms=MINUTE_MS)
        assert sorted(client.scan_iter(match=f"*{prefix}*")) == sorted(keys(prefix))
        for key in keys(prefix):
            assert 9 * MINUTE_MS < client.pttl(key) <= 10 * MINUTE_MS

        switch.pause(actor="a", who="ada")
        assert [client.pttl(key) for key in keys(prefix)] == [-1, -1]

        switch.resume(actor="a")
        switch.resume(queue="long")
        switch.resume(queue="short")
        assert list(client.scan_iter(match=f"*{prefix}*")) == []


def test_a_server_that_is_gone_is_said_so() -> None:
    """Every method raises the guards' own error, and all works again when the server is back."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        kept = Kept(RedisPauseStore(client), lambda _: None)
        put(kept, "one")
        server.stop()

        for call in (
            lambda: put(kept, "two"),
            lambda: kept.store.remove(PauseTarget(queue="one")),
            lambda: kept.store.read(0),
        ):
            with pytest.raises(StoreUnavailable):
                call()

        server.start()
        put(kept, "three")
        assert queues(kept) == ["three"]
