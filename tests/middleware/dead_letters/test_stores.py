"""What every store of dead letters promises: in memory, on Redis and on PostgreSQL."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from adapters.database.dead_letters import SqlDeadLetters
from middleware import StoreUnavailable
from middleware.dead_letters.guard import DeadLetterBox, DeadLetterStore
from middleware.dead_letters.letter import CATEGORIES, DeadLetter
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.dead_letters.redis import RedisDeadLetterStore
from tests.middleware.dead_letters.sample_letters import a_letter

THREADS = 8
#: Longer than any letter of these tests is old.
CENTURIES_MS = 10**13


@pytest.fixture(params=["memory", "redis", "postgres"])
def store(request: pytest.FixtureRequest) -> DeadLetterStore:
    """An empty store; on PostgreSQL one that other tests use with orgs of their own."""
    if request.param == "memory":
        return MemoryDeadLetterStore()
    if request.param == "redis":
        client = request.getfixturevalue("redis_client")
        return RedisDeadLetterStore(client, prefix=uuid4().hex, keep_ms=CENTURIES_MS)
    engine: Engine = request.getfixturevalue("engine")
    return SqlDeadLetters(engine, DeadLetter.from_record)


def test_a_letter_is_read_as_it_was_written(store: DeadLetterStore) -> None:
    """Every field survives."""
    letter = a_letter(replay_of=str(uuid4()))
    bare = a_letter(
        org=letter.org,
        region=None,
        error_class=None,
        trace=None,
        contract_version=None,
        options={},
        redacted=(),
        attempts=0,
    )

    assert store.put([letter, bare]) == 2

    box = store.of_org(_org(letter))
    assert box.get(letter.id) == letter
    assert box.get(bare.id) == bare


def test_bytes_that_are_no_message_are_kept_as_they_came(store: DeadLetterStore) -> None:
    """They have no org, so that operators alone see them."""
    raw = bytes(range(256))
    letter = a_letter(org=None, message_id=None, actor=None, payload=None, raw=raw)

    store.put([letter])

    assert store.of_every_org().get(letter.id) == letter
    assert store.of_org(str(uuid4())).get(letter.id) is None


def test_what_is_put_twice_is_there_once(store: DeadLetterStore) -> None:
    """The first one stays, whatever the second says, also within one call."""
    letter = a_letter()
    later = a_letter(id=letter.id, org=letter.org, died_at_ms=letter.died_at_ms + 1, category="timeout")

    assert store.put([letter, letter]) == 1
    assert store.put([later]) == 0

    box = store.of_org(_org(letter))
    assert list(box.list()) == [letter]
    assert list(box.list_by_category("timeout")) == []
    assert box.stats()["category"] == {"network": 1}


def test_nothing_is_put_at_no_cost(store: DeadLetterStore) -> None:
    """An empty batch is fine."""
    assert store.put([]) == 0


def test_many_at_once_put_each_letter_once(store: DeadLetterStore) -> None:
    """Any number of movers may copy the same letters."""
    org = str(uuid4())
    letters = [a_letter(org=org) for _ in range(20)]

    new = _at_once(lambda: store.put(letters))

    assert sum(new) == 20
    assert len(store.of_org(org).list()) == 20
    assert store.of_org(org).stats()["actor"] == {"resize": 20}


@pytest.mark.parametrize("category", [None, "timeout"])
def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repeat(
    store: DeadLetterStore, category: str | None
) -> None:
    """Also where many died in one millisecond, and when letters come while somebody reads."""
    org = str(uuid4())
    letters = [
        a_letter(org=org, died_at_ms=1_750_000_000_000 + at // 4, category=("timeout", "network")[at % 2])
        for at in range(40)
    ]
    store.put(letters)
    box = store.of_org(org)
    wanted = [letter for letter in letters if category in (None, letter.category)]

    read: list[DeadLetter] = []
    while page := _page(box, category, after=read[-1].cursor if read else None, limit=7):
        read += page
        store.put([a_letter(org=org, died_at_ms=1_760_000_000_000, category="timeout")])

    assert read == sorted(wanted, key=lambda letter: letter.cursor, reverse=True)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_page_has_bounds(store: DeadLetterStore, limit: int) -> None:
    """1 to 1,000, and the error says so."""
    box = store.of_org(str(uuid4()))
    with pytest.raises(ValueError, match="limit must be 1 to 1000"):
        box.list(limit=limit)
    with pytest.raises(ValueError, match="limit must be 1 to 1000"):
        box.list_by_category("network", limit=limit)


def test_another_org_finds_nothing_and_changes_nothing(store: DeadLetterStore) -> None:
    """Whatever id it has: reading, marking, deleting and purging stop at the org."""
    letter, own = a_letter(), a_letter(fingerprint="ba9876543210")
    store.put([letter, own])
    other = store.of_org(_org(own))

    assert other.get(letter.id) is None
    assert not other.mark_replayed(letter.id, "m", at_ms=1, instead_of=None)
    assert not other.delete(letter.id)
    assert list(other.list()) == [own]
    assert list(other.list_by_category("network")) == [own]
    assert other.stats()["fingerprint"] == {own.fingerprint: 1}
    assert other.purge(letter.died_at_ms + 1) == 1

    assert store.of_org(_org(letter)).get(letter.id) == letter


def test_a_letter_without_an_org_is_no_orgs(store: DeadLetterStore) -> None:
    """It is in the list of operators alone."""
    letter = a_letter(org=None, died_at_ms=1_800_000_000_000)
    store.put([letter])

    assert letter in store.of_every_org().list()
    assert store.of_every_org().get(letter.id) == letter
    assert list(store.of_org(str(uuid4())).list()) == []


def test_an_org_has_a_name(store: DeadLetterStore) -> None:
    """An empty one is not everybody."""
    with pytest.raises(ValueError):  # noqa: PT011  # each store says it its own way
        store.of_org("")


def test_an_operator_sees_and_touches_every_org(store: DeadLetterStore) -> None:
    """Through a box that has to be asked for by its name."""
    letters = [a_letter(died_at_ms=1_790_000_000_000, actor=uuid4().hex) for _ in range(3)]
    store.put(letters)
    every = store.of_every_org()

    assert {letter.id for letter in letters} <= {letter.id for letter in every.list(limit=1_000)}
    assert {letter.id for letter in letters} <= {each.id for each in _page(every, "network", None, 1_000)}
    assert every.stats()["actor"][str(letters[0].actor)] == 1
    assert every.mark_replayed(letters[0].id, "m", at_ms=5, instead_of=None)
    assert every.delete(letters[1].id)
    assert store.of_org(_org(letters[1])).get(letters[1].id) is None


def test_a_letter_is_marked_if_it_is_still_as_it_was_read(store: DeadLetterStore) -> None:
    """The mark, its time and what an edit changed are kept; the mark can be taken away."""
    letter = a_letter()
    store.put([letter])
    box = store.of_org(_org(letter))
    changes = ({"path": "args.0.image_id", "before": "7", "after": "8"},)

    assert not box.mark_replayed(letter.id, "m1", at_ms=5, instead_of="m0")
    assert box.mark_replayed(letter.id, "m1", at_ms=1_750_000_000_007, instead_of=None, changes=changes)
    assert not box.mark_replayed(letter.id, "m2", at_ms=5, instead_of=None)

    marked = box.get(letter.id)
    assert marked is not None
    assert (marked.replayed_as, marked.replayed_at_ms, marked.changes) == ("m1", 1_750_000_000_007, changes)
    assert list(box.list()) == [marked]
    assert box.mark_replayed(letter.id, None, at_ms=9, instead_of="m1")
    assert box.get(letter.id) == letter


def test_of_many_who_mark_one_succeeds(store: DeadLetterStore) -> None:
    """So a message is sent again by one of them, letter for letter."""
    org = str(uuid4())
    letters = [a_letter(org=org) for _ in range(25)]
    store.put(letters)
    box = store.of_org(org)
    for letter in letters:
        marked = _at_once(lambda id_=letter.id: box.mark_replayed(id_, uuid4().hex, at_ms=5, instead_of=None))  # type: ignore[misc]
        assert sorted(marked) == [False] * (THREADS - 1) + [True]


def test_a_deleted_letter_is_gone_from_everywhere(store: DeadLetterStore) -> None:
    """The letter, its places in the lists, and its part in the counts; once."""
    letter = a_letter()
    store.put([letter])
    box = store.of_org(_org(letter))

    assert _at_once(lambda: box.delete(letter.id)).count(True) == 1

    assert box.get(letter.id) is None
    assert list(box.list()) == list(box.list_by_category("network")) == []
    assert not any(box.stats().values())
    assert not box.delete(letter.id)
    assert not box.mark_replayed(letter.id, "m", at_ms=5, instead_of=None)


def test_an_id_that_is_none_finds_nothing(store: DeadLetterStore) -> None:
    """Whatever somebody types."""
    box = store.of_org(str(uuid4()))

    assert box.get("what is this") is None
    assert not box.delete("what is this")
    assert not box.mark_replayed("what is this", "m", at_ms=5, instead_of=None)


def test_letters_are_counted_by_what_operators_ask_for(store: DeadLetterStore) -> None:
    """Category, region, actor and fingerprint; what a letter has not is not counted."""
    org = str(uuid4())
    store.put(
        [
            a_letter(org=org),
            a_letter(org=org, category="timeout", region="us"),
            a_letter(org=org, category="timeout", region=None, actor="crop", fingerprint="f2"),
        ]
    )

    assert store.of_org(org).stats() == {
        "category": {"network": 1, "timeout": 2},
        "region": {"eu": 1, "us": 1},
        "actor": {"resize": 2, "crop": 1},
        "fingerprint": {"0123456789ab": 2, "f2": 1},
    }


def test_a_purge_takes_what_is_older_and_leaves_the_rest(store: DeadLetterStore) -> None:
    """Up to the millisecond, more than one batch of it, and within the org alone."""
    org, other = str(uuid4()), a_letter(died_at_ms=1_000)
    old = [a_letter(org=org, died_at_ms=1_000 + at % 10) for at in range(1_100)]
    kept = a_letter(org=org, died_at_ms=1_010)
    store.put([*old, kept, other])

    assert store.of_org(org).purge(1_010) == 1_100

    assert list(store.of_org(org).list()) == [kept]
    assert store.of_org(org).stats()["category"] == {"network": 1}
    assert store.of_org(_org(other)).get(other.id) == other
    assert store.of_every_org().purge(1_010) >= 1
    assert store.of_org(_org(other)).get(other.id) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(value=JSON, category=st.sampled_from(CATEGORIES))
def test_any_payload_is_read_as_it_was_written(store: DeadLetterStore, value: object, category: str) -> None:
    """NUL, half a surrogate pair, numbers beyond every column: what a message can hold, a letter can."""
    letter = a_letter(payload={"args": [value], "kwargs": {}}, options={"note": value}, category=category)

    store.put([letter])

    assert store.of_org(_org(letter)).get(letter.id) == letter


def test_one_odd_letter_does_not_hold_up_the_others(store: DeadLetterStore) -> None:
    """They are put together, and each is there."""
    org = str(uuid4())
    odd = a_letter(org=org, payload={"args": ["\x00"], "kwargs": {"n": float("inf")}})
    letters = [a_letter(org=org), odd, a_letter(org=org)]

    assert store.put(letters) == 3

    assert {letter.id for letter in store.of_org(org).list()} == {letter.id for letter in letters}
    assert store.of_org(org).get(odd.id) == odd
    box = store.of_org(org)
    assert box.mark_replayed(odd.id, "m", at_ms=5, instead_of=None)
    assert getattr(box.get(odd.id), "replayed_as", None) == "m"


def test_redis_that_is_away_is_a_store_that_is_away(tmp_path: Path) -> None:
    """Whatever is asked of it."""
    with redis.Redis(unix_socket_path=str(tmp_path / "nobody"), retry=Retry(NoBackoff(), 0)) as client:
        store = RedisDeadLetterStore(client)
        box = store.of_org("acme")
        asked: Sequence[Callable[[], object]] = (
            lambda: store.put([a_letter()]),
            box.list,
            lambda: box.get("x"),
            lambda: box.mark_replayed("x", "m", at_ms=5, instead_of=None),
            lambda: box.delete("x"),
            lambda: box.purge(5),
            box.stats,
        )
        for ask in asked:
            with pytest.raises(StoreUnavailable):
                ask()


def test_letters_in_redis_end(redis_client: redis.Redis) -> None:
    """What is past its time goes when another comes, and every key ends by itself after the last one."""
    prefix, now_ms = uuid4().hex, 1_750_000_000_000
    store = RedisDeadLetterStore(redis_client, prefix=prefix, keep_ms=60_000, now_ms=lambda: now_ms)
    org = str(uuid4())
    old, new = a_letter(org=org, died_at_ms=now_ms - 60_001), a_letter(org=org, died_at_ms=now_ms - 60_000)

    store.put([old])
    store.put([new])

    assert list(store.of_org(org).list()) == [new]
    keys = list(redis_client.scan_iter(f"*{prefix}*"))
    assert len(keys) == 8
    assert all(0 < redis_client.pttl(key) <= 60_000 for key in keys)


def test_a_redis_client_that_decodes_will_do(redis_client: redis.Redis) -> None:
    """`decode_responses` is a choice of the user's."""
    pool = redis_client.connection_pool
    kwargs = {**pool.connection_kwargs, "decode_responses": True}
    decoding = redis.ConnectionPool(connection_class=pool.connection_class, **kwargs)
    with redis.Redis(connection_pool=decoding) as client:
        store = RedisDeadLetterStore(client, prefix=uuid4().hex, keep_ms=CENTURIES_MS)
        letter = a_letter()
        store.put([letter])
        box = store.of_org(_org(letter))

        assert list(box.list()) == [letter]
        assert box.mark_replayed(letter.id, "m", at_ms=5, instead_of=None)
        assert box.stats()["category"] == {"network": 1}
        assert box.purge(letter.died_at_ms + 1) == 1
    decoding.disconnect()


def _org(letter: DeadLetter) -> str:
    assert letter.org is not None
    return letter.org


def _page(box: DeadLetterBox, category: str | None, after: str | None, limit: int) -> Sequence[DeadLetter]:
    if category is None:
        return box.list(after=after, limit=limit)
    return box.list_by_category(category, after=after, limit=limit)


def _at_once(work: Callable[[], int]) -> list[int]:
    together = Barrier(THREADS)

    def start() -> int:
        together.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as threads:
        return [each.result() for each in [threads.submit(start) for _ in range(THREADS)]]
