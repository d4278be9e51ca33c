"""What every spool of dead letters promises, and what movers make of it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from middleware import StoreUnavailable
from middleware.dead_letters.forwarder import BATCH, Mover
from middleware.dead_letters.guard import DeadLetterSpool
from middleware.dead_letters.letter import DeadLetter
from middleware.dead_letters.memory import MemoryDeadLetterStore
from middleware.dead_letters.memory_spool import MemoryDeadLetterSpool
from middleware.dead_letters.redis_spool import RedisDeadLetterSpool
from tests.middleware.dead_letters.sample_letters import a_letter
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey
from tests.middleware.recorded_metrics import Emitted, handling

THREADS = 8
#: Leases that nobody sees the end of, and that are over at once.
LONG_MS = 3_600_000
OVER_MS = 0


@pytest.fixture(params=["memory", "redis"])
def spool(request: pytest.FixtureRequest) -> DeadLetterSpool:
    """An empty spool."""
    if request.param == "memory":
        return MemoryDeadLetterSpool()
    return RedisDeadLetterSpool(request.getfixturevalue("redis_client"), prefix=uuid4().hex)


def test_a_letter_comes_out_as_it_went_in(spool: DeadLetterSpool) -> None:
    """Every field, raw bytes and odd texts too."""
    letters = [
        a_letter(payload={"args": ["\x00\ud800", float("inf"), 10**400], "kwargs": {}}),
        a_letter(org=None, actor=None, message_id=None, payload=None, raw=bytes(range(256))),
    ]

    assert spool.put(letters) == 2

    claimed = {letter.id: letter for letter in spool.claim(10, LONG_MS)}
    assert claimed == {letter.id: letter for letter in letters}


def test_what_is_put_twice_waits_once(spool: DeadLetterSpool) -> None:
    """The first one stays."""
    letter = a_letter()

    assert spool.put([letter]) == 1
    assert spool.put([a_letter(id=letter.id), letter]) == 0

    assert spool.depth() == 1
    assert list(spool.claim(10, LONG_MS)) == [letter]


def test_nothing_is_put_claimed_and_removed_at_no_cost(spool: DeadLetterSpool) -> None:
    """Empty batches are fine."""
    assert spool.put([]) == 0
    assert list(spool.claim(10, LONG_MS)) == []
    spool.remove([])
    assert spool.depth() == 0


def test_a_claimed_letter_is_nobody_elses_until_its_lease_is_over(spool: DeadLetterSpool) -> None:
    """A mover that is killed leaves it to another one."""
    letter = a_letter()
    spool.put([letter])

    assert list(spool.claim(10, OVER_MS)) == [letter]
    assert list(spool.claim(10, LONG_MS)) == [letter]
    assert list(spool.claim(10, LONG_MS)) == []
    assert spool.put([letter]) == 0
    assert list(spool.claim(10, LONG_MS)) == []
    assert spool.depth() == 1


def test_a_claim_has_a_limit_and_takes_the_oldest(spool: DeadLetterSpool) -> None:
    """So a long spool is moved in order."""
    letters = [a_letter() for _ in range(5)]
    for letter in letters:
        spool.put([letter])

    taken = [spool.claim(2, LONG_MS) for _ in range(4)]

    assert [len(each) for each in taken] == [2, 2, 1, 0]
    assert {letter.id for each in taken for letter in each} == {letter.id for letter in letters}


def test_of_many_who_claim_each_letter_goes_to_one(spool: DeadLetterSpool) -> None:
    """Any number of movers at once."""
    letters = [a_letter() for _ in range(100)]
    spool.put(letters)

    taken = _at_once(lambda: spool.claim(20, LONG_MS))

    ids = [letter.id for each in taken for letter in each]
    assert sorted(ids) == sorted(letter.id for letter in letters)


def test_what_is_removed_is_gone(spool: DeadLetterSpool) -> None:
    """Once and for all; removing it again is fine."""
    letters = [a_letter(), a_letter()]
    spool.put(letters)

    for _ in range(2):
        spool.remove([letters[0].id])

    assert spool.depth() == 1
    assert list(spool.claim(10, OVER_MS)) == [letters[1]]


def test_movers_bring_every_letter_to_the_store_once(spool: DeadLetterSpool) -> None:
    """Many at once, in threads of their own, the last one out after the spool is empty."""
    store = MemoryDeadLetterStore()
    letters = [a_letter() for _ in range(3 * BATCH)]
    movers = [Mover(spool, store, interval_ms=5) for _ in range(3)]
    for mover in movers:
        mover.start()
    for letter in letters:
        spool.put([letter])

    for mover in movers:
        mover.stop()

    assert spool.depth() == 0
    assert {letter.id for letter in store.of_every_org().list(limit=1_000)} == {each.id for each in letters}


def test_a_mover_that_stops_between_store_and_spool_leaves_no_double(spool: DeadLetterSpool) -> None:
    """The next one finds the letter in the store and takes it out of the spool."""
    store, letter = MemoryDeadLetterStore(), a_letter()
    spool.put([letter])
    store.put(spool.claim(10, OVER_MS))

    assert Mover(spool, store).move() == 1

    assert spool.depth() == 0
    assert list(store.of_every_org().list()) == [letter]


class Trying:
    """A store that is away, or refuses some letters, or goes away after the first refusal."""

    def __init__(
        self, refused: Sequence[DeadLetter] = (), *, away: bool = False, away_afterwards: bool = False
    ) -> None:
        self.refused = {letter.id for letter in refused}
        self.away = away
        self.away_afterwards = away_afterwards
        self.kept: set[str] = set()
        self.tried = threading.Semaphore(0)

    def put(self, letters: Sequence[DeadLetter]) -> int:
        self.tried.release()
        if self.away:
            raise StoreUnavailable("away")
        if self.refused & {letter.id for letter in letters}:
            self.away = self.away_afterwards
            raise Refused("hunter2")
        self.kept |= {letter.id for letter in letters}
        return len(letters)


class Refused(Exception):
    """This letter will never do."""

    retryable = False


def test_letters_wait_in_the_spool_while_the_store_is_away(spool: DeadLetterSpool) -> None:
    """And are moved when it is back."""
    store = Trying(away=True)
    spool.put([a_letter()])
    mover = Mover(spool, store, lease_ms=OVER_MS)

    with pytest.raises(StoreUnavailable):
        mover.move()
    assert spool.depth() == 1
    store.away = False

    assert mover.move() == 1
    assert spool.depth() == 0


def test_a_mover_goes_on_when_the_store_is_back(
    spool: DeadLetterSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """Every failure is counted; the log says once that letters wait, without the text, and once that it is over."""
    store, emitted = Trying(away=True), Emitted()
    spool.put([a_letter()])
    mover = Mover(spool, store, interval_ms=1, lease_ms=OVER_MS)

    with handling(emitted), caplog.at_level("INFO"):
        mover.start()
        for _ in range(3):
            assert store.tried.acquire(timeout=10)
        store.away = False
        mover.wake()
        assert eventually(lambda: spool.depth() == 0)
        assert mover.stop()

    assert sum(emitted.of("dead_letters_move_failed_total")) >= 3
    assert emitted.of("dead_letters_moved_total") == [1]
    assert [
        record.getMessage() for record in caplog.records if record.name == "middleware.dead_letters.forwarder"
    ] == [
        "Dead letters wait in the spool (middleware.StoreUnavailable); trying on.",
        "Dead letters are moved again.",
    ]


class Watched(MemoryDeadLetterSpool):
    """Says when somebody looks into it."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = threading.Semaphore(0)

    def claim(self, limit: int, lease_ms: int) -> Sequence[DeadLetter]:
        self.looks.release()
        return super().claim(limit, lease_ms)


def test_an_idle_mover_looks_when_it_is_woken_and_not_before() -> None:
    """Between two looks it costs nothing."""
    spool = Watched()
    mover = Mover(spool, MemoryDeadLetterStore(), interval_ms=LONG_MS)
    mover.start()
    for _ in range(3):
        assert spool.looks.acquire(timeout=10)
        assert not spool.looks.acquire(timeout=0.02)
        mover.wake()
    assert mover.stop()


def test_a_mover_can_be_stopped_while_the_store_is_away(spool: DeadLetterSpool) -> None:
    """At once; what it could not move stays in the spool."""
    store = Trying(away=True)
    spool.put([a_letter()])
    mover = Mover(spool, store, lease_ms=OVER_MS)
    mover.start()
    assert store.tried.acquire(timeout=10)

    assert mover.stop()

    assert spool.depth() == 1


def test_an_outage_amid_refusals_is_no_refusal(spool: DeadLetterSpool) -> None:
    """A store that goes away while letters are put one by one has refused none of the rest."""
    letters = [a_letter() for _ in range(3)]
    spool.put(letters)
    emitted = Emitted()

    with handling(emitted), pytest.raises(StoreUnavailable):
        Mover(spool, Trying(letters, away_afterwards=True), lease_ms=OVER_MS).move()

    assert spool.depth() == 3
    assert emitted.of("dead_letters_refused_total") == []


def test_a_letter_that_is_refused_holds_up_no_other(
    spool: DeadLetterSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays in the spool, is counted, and the log names it."""
    letters = [a_letter() for _ in range(3)]
    store = Trying(letters[:1])
    spool.put(letters)
    emitted = Emitted()

    with handling(emitted):
        assert Mover(spool, store, lease_ms=LONG_MS).move() == 2
        assert Mover(spool, store, lease_ms=LONG_MS).move() == 0

    assert store.kept == {letter.id for letter in letters[1:]}
    assert spool.depth() == 1
    assert emitted.of("dead_letters_refused_total") == [1]
    assert emitted.of("dead_letters_spooled") == [1]
    assert letters[0].id in caplog.text
    assert "hunter2" not in caplog.text


def test_letters_in_redis_stay_as_long_as_somebody_tries(redis_client: redis.Redis) -> None:
    """Each put and each try counts the time anew; without any, every key ends."""
    prefix = uuid4().hex
    spool = RedisDeadLetterSpool(redis_client, prefix=prefix, keep_ms=60_000)
    spool.put([a_letter()])
    keys = list(redis_client.scan_iter(f"*{prefix}*"))
    for key in keys:
        redis_client.pexpire(key, 10_000)

    spool.claim(10, OVER_MS)

    assert len(keys) == 2
    assert all(59_000 < redis_client.pttl(key) <= 60_000 for key in keys)


def test_a_spool_that_is_away_says_so_and_comes_back() -> None:
    """A server that is really stopped and started again."""
    once = Retry(NoBackoff(), 0)
    with own_valkey() as server, redis.Redis.from_url(server.url, retry=once) as client:
        spool, letter = RedisDeadLetterSpool(client), a_letter()
        spool.put([letter])
        server.stop()
        asked: Sequence[Callable[[], object]] = (
            lambda: spool.put([letter]),
            lambda: spool.claim(1, LONG_MS),
            lambda: spool.remove([letter.id]),
            spool.depth,
        )
        for ask in asked:
            with pytest.raises(StoreUnavailable):
                ask()
        server.start()

        assert spool.put([letter]) == 1


@pytest.mark.parametrize("keep_ms", [0, -1])
def test_a_nonsensical_time_is_refused(redis_client: redis.Redis, keep_ms: int) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=f"keep_ms must be at least 1, not {keep_ms}"):
        RedisDeadLetterSpool(redis_client, keep_ms=keep_ms)


def _at_once(work: Callable[[], Sequence[DeadLetter]]) -> list[Sequence[DeadLetter]]:
    with ThreadPoolExecutor(THREADS) as threads:
        return [each.result() for each in [threads.submit(work) for _ in range(THREADS)]]
