"""What every store of the history promises: in memory, on Redis and on PostgreSQL."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from adapters.database.history import SqlHistoryStore
from middleware import StoreUnavailable
from middleware.base.attempts import AttemptOutcome
from middleware.history.guard import AttemptRecord, HistoryStore
from middleware.history.memory import MemoryHistoryStore
from middleware.history.redis import RedisHistoryStore
from tests.middleware.own_server import own_valkey

#: Recent, so that no store lets go of it, and to the microsecond, as precise as stores have to be.
NOW = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(params=["memory", "redis", "postgres"])
def store(request: pytest.FixtureRequest) -> HistoryStore:
    """Each store, with a place of its own or orgs of the test's own."""
    if request.param == "memory":
        return MemoryHistoryStore()
    if request.param == "redis":
        client: redis.Redis = request.getfixturevalue("redis_client")
        return RedisHistoryStore(client, prefix=uuid4().hex)
    engine: Engine = request.getfixturevalue("engine")
    return SqlHistoryStore(engine, AttemptRecord)


@pytest.fixture
def org() -> str:
    """An org that nobody else uses."""
    return str(uuid4())


def attempt(at: float = 0, **fields: Any) -> AttemptRecord:
    """One that started `at` seconds after the first."""
    known: dict[str, Any] = {
        "id": uuid4(),
        "message_id": str(uuid4()),
        "actor": "resize",
        "queue": "images",
        "org": None,
        "attempt": 1,
        "outcome": "succeeded",
        "started_at": NOW + timedelta(seconds=at),
        "finished_at": NOW + timedelta(seconds=at + 1),
        "duration_ms": 1_000.5,
    }
    return AttemptRecord(**{**known, **fields})


def test_an_attempt_comes_back_as_it_was(store: HistoryStore, org: str) -> None:
    """Every field, to the microsecond."""
    full = attempt(
        org=org,
        attempt=3,
        outcome="retried",
        error_category="network",
        error_class="httpx.ConnectError",
        fingerprint="a1b2c3d4e5f6",
        cause="retry_after",
        worker="host:7",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        result={"rows": [1, 2.5, None, True], "text": "grüße ✓", "deep": {"a": []}},
    )
    bare = attempt(1, org=org)

    store.record([full, bare])

    assert store.attempts(full.message_id) == [full]
    assert store.attempts(bare.message_id) == [bare]


def test_a_messages_attempts_are_reported_oldest_first(store: HistoryStore, org: str) -> None:
    """Its whole life, in whatever order it was written."""
    message_id = str(uuid4())
    life = [
        attempt(at, message_id=message_id, org=org, outcome=outcome)
        for at, outcome in enumerate(("parked", "retried", "succeeded"))
    ]

    store.record([life[2], life[0], attempt(org=org)])
    store.record([life[1]])

    assert store.attempts(message_id) == life
    assert store.attempts(str(uuid4())) == []


def test_writing_twice_makes_one(store: HistoryStore, org: str) -> None:
    """A batch whose answer was lost is written again, and what stands there stays."""
    first, second = attempt(org=org), attempt(1, org=org)

    store.record([first])
    store.record([replace(first, outcome="failed"), second])
    store.record([])

    assert store.recent(org=org) == [second, first]


def running(ended: AttemptRecord) -> AttemptRecord:
    """The attempt as it was while it ran."""
    return replace(ended, outcome="running", finished_at=None, duration_ms=None, result=None, cause=None)


def test_an_attempt_that_runs_is_kept_and_replaced_by_its_end(store: HistoryStore, org: str) -> None:
    """By id; whoever asks for running ones sees it as long as it is one."""
    ended = attempt(org=org, outcome="failed", cause="deadline", error_category="timeout")
    other = attempt(1, org=org, outcome="running", finished_at=None, duration_ms=None)
    store.record([running(ended), other])
    assert store.recent(org=org, outcome="running") == [other, running(ended)]
    assert store.attempts(ended.message_id) == [running(ended)]

    store.record([ended])

    assert store.attempts(ended.message_id) == [ended]
    assert store.recent(org=org) == [other, ended]
    assert store.recent(org=org, outcome="running") == [other]


def test_what_has_ended_never_runs_again(store: HistoryStore, org: str) -> None:
    """Batches may come twice and out of order, also within one call."""
    first, second, third = (attempt(at, org=org, outcome="skipped") for at in range(3))

    store.record([first])
    store.record([running(first)])
    store.record([second, running(second), running(third), third])
    store.record([running(third), replace(third, outcome="failed")])

    assert store.recent(org=org) == [third, second, first]


def test_the_newest_come_first_and_an_org_sees_its_own(store: HistoryStore, org: str) -> None:
    """Another org's attempts are not there, whatever is asked for."""
    other = str(uuid4())
    actor = uuid4().hex
    mine = [attempt(at, org=org, actor=actor) for at in range(3)]
    theirs = attempt(1.5, org=other, actor=actor)

    store.record([*mine, theirs])

    assert store.recent(org=org) == mine[::-1]
    assert store.recent(org=other) == [theirs]
    assert store.attempts(theirs.message_id, org=other) == [theirs]
    assert store.attempts(theirs.message_id, org=org) == []
    everybodys = store.recent(actor=actor)
    assert everybodys == [mine[2], theirs, mine[1], mine[0]]


@pytest.mark.parametrize("stranger", ["", "not-a-uuid", "%", "*"])
def test_an_org_that_is_none_sees_nothing(store: HistoryStore, stranger: str) -> None:
    """Neither everybody's attempts nor those of no org."""
    platforms = attempt(org=None)
    store.record([platforms])

    assert store.recent(org=stranger) == []
    assert store.attempts(platforms.message_id, org=stranger) == []


def test_actor_and_outcome_narrow_it_down(store: HistoryStore, org: str) -> None:
    """Alone and together."""
    outcomes: tuple[AttemptOutcome, ...] = ("failed", "succeeded")
    kept = {
        (actor, outcome): attempt(org=org, actor=actor, outcome=outcome)
        for actor in ("resize", "export")
        for outcome in outcomes
    }
    store.record(list(kept.values()))

    by_actor = store.recent(org=org, actor="export")
    by_outcome = store.recent(org=org, outcome="failed")
    assert {each.id for each in by_actor} == {kept["export", each].id for each in outcomes}
    assert {each.id for each in by_outcome} == {kept[each, "failed"].id for each in ("resize", "export")}
    assert store.recent(org=org, actor="export", outcome="failed") == [kept["export", "failed"]]


@pytest.mark.parametrize("narrowed", [{}, {"actor": "resize"}, {"outcome": "succeeded"}])
def test_pages_follow_each_other_without_gap_or_repeat(
    store: HistoryStore, org: str, narrowed: dict[str, Any]
) -> None:
    """Also where many attempts started in the same microsecond, and while new ones come in."""
    kept = [attempt(at // 5, org=org) for at in range(23)]
    store.record([*kept, *(attempt(at, org=org, actor="x", outcome="failed") for at in range(5))])
    wanted = store.recent(org=org, **narrowed, limit=1_000)

    found: list[AttemptRecord] = []
    before: tuple[datetime, UUID] | None = None
    while page := store.recent(org=org, **narrowed, before=before, limit=4):
        store.record([attempt(100, org=org)])
        found += page
        before = page[-1].started_at, page[-1].id

    assert found == wanted
    assert {each.id for each in kept} <= {each.id for each in found}
    order = [(each.started_at, each.id) for each in found]
    assert all(newer > older for newer, older in pairwise(order))


def test_what_is_rare_is_found_however_much_lies_above_it(store: HistoryStore, org: str) -> None:
    """A page that asks for an outcome does not end where the first thousand attempts do."""
    rare = attempt(-1, org=org, outcome="died")
    store.record([rare, *(attempt(at, org=org) for at in range(1_050))])

    assert store.recent(org=org, outcome="died") == [rare]


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_of_nothing_or_of_everything_is_refused(store: HistoryStore, limit: int) -> None:
    """The bounds are named."""
    with pytest.raises(ValueError, match=f"limit must be 1 to 1000, not {limit}"):
        store.recent(limit=limit)


def test_every_outcome_can_be_kept(store: HistoryStore, org: str) -> None:
    """None of the ends an attempt can have is refused."""
    outcomes: list[AttemptOutcome] = [
        "running",
        "succeeded",
        "failed",
        "retried",
        "parked",
        "skipped",
        "cancelled",
        "expired",
        "died",
    ]
    kept = [attempt(at, org=org, outcome=outcome) for at, outcome in enumerate(outcomes)]
    store.record([running(kept[0]), *kept[1:]])

    assert [each.outcome for each in reversed(store.recent(org=org))] == outcomes


def test_many_writers_lose_nothing(store: HistoryStore, org: str) -> None:
    """Workers write at the same time, some of them the same."""
    shared = attempt(org=org)
    errors: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for at in range(first, first + 5):
                store.record([attempt(at, org=org), shared, attempt(at, org=org)])
        except BaseException as error:  # noqa: BLE001  # told by the test, not by the thread
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n * 5,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len({each.id for each in store.recent(org=org, limit=1_000)}) == 81


def test_memory_keeps_the_newest() -> None:
    """Beyond `max_attempts` the oldest make room."""
    store = MemoryHistoryStore(max_attempts=2)
    kept = [attempt(at) for at in range(3)]

    store.record([kept[2], kept[0], kept[1]])

    assert store.recent() == [kept[2], kept[1]]
    assert store.attempts(kept[0].message_id) == []


def test_redis_keeps_the_newest_and_nothing_of_the_others(redis_client: redis.Redis) -> None:
    """What makes room leaves no key and no entry of an index behind."""
    prefix = uuid4().hex
    store = RedisHistoryStore(redis_client, prefix=prefix, max_attempts=2)
    kept = [attempt(at, org="acme") for at in range(5)]

    store.record(kept[:3])
    store.record(kept[3:])

    assert store.recent() == store.recent(org="acme") == [kept[4], kept[3]]
    assert store.attempts(kept[0].message_id) == []
    keys = list(redis_client.scan_iter(match=f"{{{prefix}:history}}:*"))
    assert len(keys) == len(["newest", "org", *kept[3:], *kept[3:]])


def test_redis_lets_go_of_what_is_past_its_time(redis_client: redis.Redis) -> None:
    """Every key ends with what it holds, and an attempt older than `keep_s` is in no list."""
    prefix = uuid4().hex
    store = RedisHistoryStore(redis_client, prefix=prefix, keep_s=7_200)
    old, new = attempt(-3_700, org="acme"), attempt(org="acme")

    store.record([old, new])

    assert store.recent() == store.recent(org="acme") == [new]
    keys = list(redis_client.scan_iter(match=f"{{{prefix}:history}}:*"))
    assert keys
    assert all(7_100_000 < redis_client.pttl(key) <= 7_200_000 for key in keys)


def test_redis_takes_a_batch_in_one_round_trip() -> None:
    """However many attempts are in it; and a page is one too."""
    with own_valkey() as server, redis.Redis.from_url(server.url) as client:
        store = RedisHistoryStore(client)
        store.record([attempt(org="acme")])
        store.recent(org="acme")
        client.config_resetstat()

        store.record([attempt(at, org="acme") for at in range(100)])
        store.recent(org="acme", limit=50)

        calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert calls["cmdstat_evalsha"] == 2


def test_redis_that_is_gone_is_reported_as_such_and_comes_back() -> None:
    """The batch that could not be written can be written again."""
    with own_valkey() as server:
        client = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        store, kept = RedisHistoryStore(client), attempt()
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.record([kept])
        with pytest.raises(StoreUnavailable):
            store.recent()

        server.start()
        store.record([kept])

        assert store.recent() == [kept]
        client.close()


def test_postgres_keeps_a_row_that_does_not_quite_fit(engine: Engine, org: str) -> None:
    """Names that are too long lose their end, foreign categories their name, and no row is refused."""
    store = SqlHistoryStore(engine, AttemptRecord)
    odd = attempt(
        org=org,
        actor="a" * 300,
        queue="q\x00q",
        error_category="homemade",
        cause="c" * 300,
        result={"a": None},
    )
    nobody = attempt(org="not-a-uuid")

    store.record([odd, nobody])

    assert store.attempts(odd.message_id) == [
        replace(odd, actor="a" * 200, queue="qq", error_category="unknown", cause="c" * 200)
    ]
    assert store.attempts(nobody.message_id) == [replace(nobody, org=None)]
