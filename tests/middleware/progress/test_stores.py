"""What every store of progress promises, in memory and in Redis."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
import redis

from app.embedded import Servers
from middleware import StoreUnavailable
from middleware.progress.guard import JobProgress, ProgressReader, ProgressStore
from middleware.progress.memory import MemoryProgressStore
from middleware.progress.redis import RedisProgressStore
from tests.middleware.aged_stores import age
from tests.middleware.own_server import own_valkey

DAY_MS = 24 * 60 * 60 * 1_000


@dataclass
class Kept:
    """A store, and a way to let time pass for it."""

    store: ProgressStore
    pass_ms: Callable[[float], None]


@pytest.fixture(params=["memory", "redis", "redis, decoding responses"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Every store there is."""
    passed = [0.0]
    if request.param == "memory":

        def pass_ms(by_ms: float) -> None:
            passed[0] += by_ms

        yield Kept(MemoryProgressStore(now_ms=lambda: 1e12 + passed[0]), pass_ms)
        return
    servers: Servers = request.getfixturevalue("servers")
    prefix = f"t{uuid4().hex}"
    with (
        redis.Redis.from_url(servers.redis_url) as plain,
        redis.Redis.from_url(servers.redis_url, decode_responses="decoding" in request.param) as client,
    ):
        yield Kept(
            RedisProgressStore(client, prefix=prefix),
            lambda by_ms: age(plain, f"{{{prefix}:progress}}", by_ms),
        )


PROGRESS = JobProgress(
    message_id="m",
    org="o",
    actor="export",
    queue="exports",
    state="running",
    percent=40,
    note='Zürich: "images" ✓',
    attempts=2,
    category="network",
    turn=3,
)


def test_a_row_comes_back_as_it_was_written(kept: Kept) -> None:
    """With the store's time on it."""
    kept.store.write([PROGRESS])

    latest = kept.store.read("m")

    assert latest is not None
    assert latest.updated_at_ms > 0
    assert replace(latest, updated_at_ms=0) == PROGRESS
    assert latest.updated_at.timestamp() == latest.updated_at_ms / 1_000


def test_what_a_row_does_not_say_stays_unsaid(kept: Kept) -> None:
    """Neither an org nor a category is made up, also where a line before had them."""
    plain = replace(PROGRESS, org=None, category=None)
    kept.store.write([PROGRESS])
    kept.store.write([plain])

    latest = kept.store.read("m")

    assert latest is not None
    assert replace(latest, updated_at_ms=0) == plain


def test_many_lines_are_written_at_once(kept: Kept) -> None:
    """Each to its message."""
    kept.store.write([replace(PROGRESS, message_id=f"m{n}", percent=n) for n in range(50)])

    lines = [kept.store.read(f"m{n}") for n in range(50)]
    assert [latest and latest.percent for latest in lines] == list(range(50))


def test_a_message_nobody_wrote_about_has_no_row(kept: Kept) -> None:
    """It is not there, rather than empty."""
    assert kept.store.read("m") is None


def test_a_late_write_never_covers_a_later_turn(kept: Kept) -> None:
    """A process that is slow to write cannot make another's news undone, in a batch or alone."""
    kept.store.write([replace(PROGRESS, turn=2, state="done")])
    kept.store.write([replace(PROGRESS, turn=1, state="parked"), replace(PROGRESS, message_id="other")])

    latest = kept.store.read("m")
    assert latest is not None
    assert latest.state == "done"
    assert kept.store.read("other") is not None


def test_the_last_write_of_a_turn_stands(kept: Kept) -> None:
    """Turns are compared as numbers."""
    kept.store.write([replace(PROGRESS, turn=9)])
    kept.store.write([replace(PROGRESS, turn=10, percent=50)])
    kept.store.write([replace(PROGRESS, turn=10, percent=60)])

    latest = kept.store.read("m")
    assert latest is not None
    assert latest.percent == 60


def test_turns_written_at_once_leave_the_last(kept: Kept) -> None:
    """In whatever order eight threads come."""
    with ThreadPoolExecutor(8) as pool:
        for each in [
            pool.submit(kept.store.write, [replace(PROGRESS, turn=turn, percent=turn)])
            for turn in [*range(1, 41, 2), *range(0, 41, 2)]
        ]:
            each.result()

    latest = kept.store.read("m")
    assert latest is not None
    assert latest.percent == 40


def test_a_row_is_kept_for_a_day_after_the_last_news(kept: Kept) -> None:
    """And no longer."""
    kept.store.write([PROGRESS])
    kept.pass_ms(DAY_MS - 60_000)
    kept.store.write([replace(PROGRESS, message_id="other")])
    assert kept.store.read("m") is not None

    kept.pass_ms(60_000)

    assert kept.store.read("m") is None
    assert kept.store.read("other") is not None


def test_a_reader_sees_another_orgs_row_as_none(kept: Kept) -> None:
    """Ids can be guessed; what is another's does not exist."""
    kept.store.write([PROGRESS])
    reader = ProgressReader(kept.store)

    assert reader.read("m", org="another") is None
    assert reader.read("m", org="o") is not None
    assert reader.read("m") is not None


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_nonsensical_time_to_keep_is_refused(kind: str, redis_client: redis.Redis) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match="keep_for_ms must be at least 1, not 0"):
        MemoryProgressStore(keep_for_ms=0) if kind == "memory" else RedisProgressStore(
            redis_client, keep_for_ms=0
        )


def test_a_server_that_is_gone_is_said_so() -> None:
    """Both methods raise the guards' own error, and work again when the server is back."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisProgressStore(client)
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.write([PROGRESS])
        with pytest.raises(StoreUnavailable):
            store.read("m")

        server.start()
        store.write([PROGRESS])
        assert store.read("m") is not None
