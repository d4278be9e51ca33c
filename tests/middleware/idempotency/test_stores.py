"""What every store of idempotency claims promises, in memory and in Redis."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis

from middleware.base.errors import StoreUnavailable
from middleware.idempotency.guard import Claim, IdempotencyStore
from middleware.idempotency.memory import MemoryIdempotencyStore
from middleware.idempotency.redis import RedisIdempotencyStore
from tests.middleware.aged_stores import age

DAY_MS = 86_400_000


@dataclass
class Kept:
    """A store, and a way to let time pass for it."""

    store: IdempotencyStore
    pass_ms: Callable[[int], None]

    def claim(self, key: str, holder: str, token: str, ttl_ms: int = DAY_MS) -> Claim:
        return self.store.claim(key, holder=holder, token=token, ttl_ms=ttl_ms)


@pytest.fixture(params=["memory", "redis", "redis, decoding responses"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Every store there is."""
    if request.param == "memory":
        clock = [0.0]

        def pass_ms(by_ms: int) -> None:
            clock[0] += by_ms

        yield Kept(MemoryIdempotencyStore(now_ms=lambda: clock[0]), pass_ms)
        return
    url, prefix = request.getfixturevalue("servers").redis_url, f"t{uuid4().hex}"
    decoding = "decoding" in request.param
    with redis.Redis.from_url(url, decode_responses=decoding) as client, redis.Redis.from_url(url) as plain:
        yield Kept(RedisIdempotencyStore(client, prefix=prefix), lambda by_ms: age(plain, prefix, by_ms))


def test_the_first_holder_has_the_key_and_others_learn_who(kept: Kept) -> None:
    """A key is one holder's, and whoever comes second is told whose."""
    assert kept.claim("k", "one", "t1") == Claim("claimed", "one")
    assert kept.claim("k", "two", "t2") == Claim("held", "one")
    assert kept.claim("other", "two", "t2") == Claim("claimed", "two")


def test_a_holder_takes_its_own_claim_over(kept: Kept) -> None:
    """After a crash the same message claims again, and what the first attempt says counts no more."""
    kept.claim("k", "one", "before")

    assert kept.claim("k", "one", "after").state == "claimed"

    assert not kept.store.finish("k", token="before", ttl_ms=DAY_MS)
    assert not kept.store.give_back("k", token="before")
    assert not kept.store.keep("k", token="before", ttl_ms=DAY_MS)
    assert kept.claim("k", "two", "t") == Claim("held", "one")
    assert kept.store.finish("k", token="after", ttl_ms=DAY_MS)


def test_what_is_done_stays_done_for_everybody(kept: Kept) -> None:
    """Neither another message nor the same one gets the key of work that is done."""
    kept.claim("k", "one", "t1")

    assert kept.store.finish("k", token="t1", ttl_ms=DAY_MS)

    assert kept.claim("k", "two", "t2") == Claim("done", "one")
    assert kept.claim("k", "one", "t3") == Claim("done", "one")
    assert not kept.store.give_back("k", token="t1")
    assert kept.store.finish("k", token="t1", ttl_ms=DAY_MS), "an answer that got lost may be asked for again"


def test_a_key_that_was_given_back_is_anybodys(kept: Kept) -> None:
    """After a failed attempt another message may run, and the failed one cannot finish any more."""
    kept.claim("k", "one", "t1")

    assert kept.store.give_back("k", token="t1")
    assert not kept.store.give_back("k", token="t1")
    assert not kept.store.finish("k", token="t1", ttl_ms=DAY_MS)
    assert kept.claim("k", "two", "t2") == Claim("claimed", "two")


def test_a_claim_lasts_as_long_as_it_was_made_for(kept: Kept) -> None:
    """The window bounds how long a message that got lost blocks its key."""
    kept.claim("k", "one", "t1", ttl_ms=60_000)

    kept.pass_ms(50_000)
    assert kept.claim("k", "two", "t2").state == "held"
    kept.pass_ms(20_000)
    assert not kept.store.finish("k", token="t1", ttl_ms=DAY_MS)
    assert kept.claim("k", "two", "t2").state == "claimed"


def test_a_kept_claim_and_a_finish_count_from_when_they_are_made(kept: Kept) -> None:
    """A reservation becomes a claim, and a mark of done work is there for the whole window."""
    kept.claim("k", "one", "t1", ttl_ms=5_000)
    assert kept.store.keep("k", token="t1", ttl_ms=60_000)
    kept.pass_ms(50_000)
    assert kept.claim("k", "two", "t2").state == "held"

    assert kept.store.finish("k", token="t1", ttl_ms=60_000)
    kept.pass_ms(50_000)
    assert kept.claim("k", "two", "t2").state == "done"
    kept.pass_ms(20_000)
    assert kept.claim("k", "two", "t2").state == "claimed"


def test_of_many_at_once_one_gets_the_key(kept: Kept) -> None:
    """Sixteen threads claim at the same moment, and fifteen are told the same winner."""
    together = threading.Barrier(16)

    def claim(number: int) -> Claim:
        together.wait()
        return kept.claim("k", f"m{number}", f"t{number}")

    with ThreadPoolExecutor(16) as threads:
        claims = list(threads.map(claim, range(16)))

    assert sorted(each.state for each in claims) == ["claimed"] + ["held"] * 15
    assert len({each.holder for each in claims}) == 1


def test_claims_whose_time_is_over_do_not_pile_up() -> None:
    """A process that runs for ever holds no more than the claims of one window."""
    clock = [0.0]
    store = MemoryIdempotencyStore(now_ms=lambda: clock[0])

    for number in range(10_000):
        clock[0] = number
        store.claim(f"k{number}", holder="m", token="t", ttl_ms=100)

    assert len(store._entries) <= 1_000


def test_a_server_that_does_not_answer_is_the_guards_own_error() -> None:
    """Callers catch one error, and it does not quote the address, which may hold a password."""
    with redis.Redis.from_url("unix:///nowhere/hunter2.sock") as client:
        store = RedisIdempotencyStore(client)
        with pytest.raises(StoreUnavailable, match="idempotency/claim: ConnectionError") as caught:
            store.claim("k", holder="m", token="t", ttl_ms=1)
    assert "hunter2" not in str(caught.value)
