"""Looking into a broker: what is counted and listed is what is there, and to an org its own."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import redis
from dramatiq import Message
from redis import Redis

from app.embedded import Servers
from broker import FairRedisBroker
from broker.inspection.inspector import Inspector
from broker.inspection.lookup import batch
from broker.leasing.lease import LeasedMessage
from tests.broker.conftest import MakeBroker
from tests.broker.inspection.inspection_helpers import (
    fetch,
    fetched,
    inspector,
    operations,
    park,
    reclaim,
    send,
    serving,
)
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


class Counting(redis.Redis):
    """A client that remembers what it asked."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[str] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Ask the real server."""
        self.asked.append(args[0])
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def test_every_message_is_counted_where_it_is(fair: FairRedisBroker) -> None:
    """Each once; queues by name."""
    for _ in range(4):
        send(fair)
    send(fair, org="other", delay=60_000)
    park(fair, "ai is down", "breaker:ai")
    park(fair, "held for a newer version", "version:resize:3")
    send(fair, queue="exports", org="other")
    gone, _ = fetch(fair, 2)
    fair.consume("images").nack(gone)
    look = inspector(fair)
    assert eventually(lambda: look.depth("images")[0].dead == 1)

    exports, images = look.depth()

    assert (exports.queue, exports.ready, exports.leased) == ("exports", 1, 0)
    assert (images.ready, images.leased, images.delayed, images.parked, images.held) == (2, 1, 1, 1, 1)
    assert (images.suspects, images.dead) == (0, 1)
    assert look.depth("nowhere")[0].ready == 0


def test_suspects_are_counted_apart(new_broker: MakeBroker) -> None:
    """They are not ready: they wait to run alone."""
    namespace = uuid4().hex
    first = new_broker(namespace=namespace)
    send(first)
    for _ in range(2):
        dying = new_broker(namespace=namespace)
        fetched(dying)
        assert dying.worker_id is not None
        dying.report_death(dying.worker_id, -9, stopped=False)
        reclaim(first)

    (depth,) = inspector(first).depth("images")

    assert (depth.suspects, depth.ready, depth.leased) == (1, 0, 0)


def test_an_org_counts_its_own(fair: FairRedisBroker) -> None:
    """Those that may run and those that may not; of what is not due nothing is told."""
    for _ in range(2):
        send(fair)
    send(fair, actor="crop")
    for _ in range(3):
        send(fair, org="other")
    assert "acme" in {each.options["org"] for each in fetch(fair, 2)}
    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    look = inspector(fair)

    (acme,), (other,) = look.depth("images", org="acme"), look.depth("images", org="other")

    assert (acme.ready + acme.leased, other.ready + other.leased) == (3, 3)
    assert acme.leased + other.leased == 2
    assert acme.delayed is None


def test_what_was_put_aside_is_counted(fair: FairRedisBroker) -> None:
    """A lane that a gate, a full key or the org's limit keeps back still has its messages."""
    fair.enforce(SimpleNamespace(kind="max_active", default=2))
    for number in range(2):
        send(fair, concurrency=("a.org", 1), priority=number)
    send(fair, actor="crop")
    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    fetched(fair)
    assert next(fair.consume("images", prefetch=9, timeout=50)) is None

    (depth,) = inspector(fair).depth("images", org="acme")
    lanes = inspector(fair).lanes("images")

    assert (depth.ready, depth.leased) == (2, 1)
    assert sorted((each.actor, each.length) for each in lanes) == [("crop", 1), ("resize", 1)]
    assert all(each.shut_because for each in lanes)


def test_the_oldest_is_of_those_that_nothing_holds_back(fair: FairRedisBroker, raw: "Redis") -> None:
    """Whatever its priority; what is paused does not count, else a pause would look like a lack of workers."""
    for actor, priority in (("crop", 0), ("resize", 50), ("resize", 50), ("resize", -50)):
        send(fair, actor=actor, priority=priority)
    _age(raw, fair, "acme:crop:0", 900_000)
    _age(raw, fair, "acme:resize:50", 500_000)
    look = inspector(fair)
    assert 899 < (look.oldest("images") or 0) < 960

    fair.shut("pauses", {"a:crop": (0, "paused: actor crop by ada")})
    fetched(fair)

    state = look.queue_state("images")
    assert state.depth == 4
    assert state.oldest_age_s is not None
    assert 499 < state.oldest_age_s < 560
    assert look.queue_state("nowhere").oldest_age_s is None


def test_looking_for_metrics_is_one_round_trip(fair: FairRedisBroker, servers: Servers) -> None:
    """Each of the two, whatever there is in the queue."""
    for _ in range(3):
        send(fair)
        park(fair, "ai is down", "breaker:ai")
    (
        inspector(fair).queue_state("images"),
        inspector(fair).parked_by_cause("images"),
    )  # the server has the scripts
    with Counting.from_url(servers.redis_url) as client:
        look = Inspector(client, fair.base)

        assert look.queue_state("images").depth == 6
        assert look.parked_by_cause("images") == {"breaker": 3}

        assert client.asked == ["EVALSHA", "EVALSHA"]


def test_parked_ones_are_counted_by_what_they_wait_for(fair: FairRedisBroker) -> None:
    """In one word, so that there are few; another queue's are not among them."""
    for key in ("breaker:ai", "breaker:publish:a.org", "pause:org acme", None):
        park(fair, "night shift", key)
    assert fair.release("breaker:ai") == 1
    fetched(fair)

    assert inspector(fair).parked_by_cause("images") == {"breaker": 1, "night shift": 1, "pause": 1}
    assert inspector(fair).parked_by_cause("exports") == {}


@pytest.mark.parametrize(
    ("source", "gate", "word"),
    [
        ("pauses", "q:images", "pause"),
        ("pauses:eu", "a:resize", "pause"),
        ("breakers", "a:resize", "breaker"),
        ("pauses", "o:acme", "pause"),
        ("breakers", "x:acme:resize", "breaker"),
    ],
)
def test_what_a_gate_shuts_is_counted_too(fair: FairRedisBroker, source: str, gate: str, word: str) -> None:
    """It is not parked, and waits all the same; other orgs' are not held back by an org's."""
    for _ in range(3):
        send(fair)
    fair.shut(source, {gate: (0, "paused: it all by ada")})
    assert next(fair.consume("images", timeout=50)) is None
    fair.shut("pauses:us", {"q:images": (1, "over"), "o:acme": (1, "over")})
    look = inspector(fair)

    assert look.parked_by_cause("images") == {word: 3}
    fair.shut(source, {})
    fetched(fair)
    assert look.parked_by_cause("images") == {}


def test_what_a_limit_holds_back_is_counted_too(fair: FairRedisBroker) -> None:
    """The org's, a concurrency key's, or a rate."""
    fair.enforce(SimpleNamespace(kind="rate", actor="crop", interval_ms=60_000.0, tolerance_ms=0.0))
    for _ in range(3):
        send(fair, org="keyed", concurrency=("a.org", 1))
    for _ in range(4):
        send(fair, org="rated", actor="crop")
    look = inspector(fair)
    assert {each.options["org"] for each in fetch(fair, 2)} == {"keyed", "rated"}
    assert next(fair.consume("images", prefetch=9, timeout=50)) is None
    assert look.parked_by_cause("images") == {"key": 2, "rate": 3}

    fair.enforce(SimpleNamespace(kind="max_active", default=1))
    for number in range(4):
        send(fair, org="limited", priority=number)
    fetch(fair, 1)

    assert look.parked_by_cause("images") == {"key": 2, "limit": 3, "rate": 3}
    fair.shut("pauses", {"q:images": (0, "paused: queue images by ada")})
    assert look.parked_by_cause("images") == {"pause": 8}


def test_lanes_are_distinguished(fair: FairRedisBroker, raw: "Redis") -> None:
    """By org, actor, priority and key: orgs in the order of their turns, an org's own in the order of its own."""
    for org in ("b:c", "acme"):
        for _ in range(2):
            send(fair, org=org)
    send(fair, org="acme", priority=-10, concurrency=("a:org", 3))
    send(fair, org=None)
    _age(raw, fair, "acme:resize:0", 5_000)
    raw.zadd(f"{fair.base}:qr:images", {"acme": 1, "b%3Ac": 2, "": 3})

    lanes = inspector(fair).lanes("images")

    assert [(each.org, each.priority, each.key, each.length) for each in lanes] == [
        ("acme", -10, "a:org", 1),
        ("acme", 0, None, 2),
        ("b:c", 0, None, 2),
        (None, 0, None, 1),
    ]
    assert [each.virtual_time for each in lanes] == [1, 1, 2, 3]
    assert lanes[1].oldest_age_s >= 5
    assert not any(each.shut_because for each in lanes)
    assert [each.org for each in inspector(fair).lanes("images", "b:c")] == ["b:c"]
    assert len(inspector(fair).lanes("images", limit=2)) == 2


@pytest.mark.parametrize("org", ["|", "*", ""])
def test_no_name_of_an_org_means_all(fair: FairRedisBroker, org: str) -> None:
    """Whatever it is called, it sees its own alone."""
    send(fair)
    send(fair, delay=60_000)
    mine = send(fair, org=org or None)

    look = inspector(fair)

    assert [each.length for each in look.lanes("images", org)] == [1]
    assert [each.message_id for each in look.waiting("images", org)] == [mine.message_id]
    assert look.depth("images", org=org)[0].ready == 1


def test_what_waits_is_listed(fair: FairRedisBroker) -> None:
    """Those that are due, then the others by when they are, with why they were put off."""
    later, soon = send(fair, delay=9_000_000), send(fair, delay=60_000, actor="crop")
    parked = park(fair, "ai is down", "breaker:ai", delay_ms=120_000)
    held = park(fair, "held for a newer version", "version:resize:3", delay_ms=180_000)
    due = send(fair, priority=3)
    theirs = send(fair, org="other")
    look = inspector(fair)

    found = look.waiting("images", "acme")

    assert [(each.message_id, each.state) for each in found] == [
        (due.message_id, "ready"),
        (soon.message_id, "delayed"),
        (parked.message_id, "parked"),
        (held.message_id, "held"),
        (later.message_id, "delayed"),
    ]
    assert (found[0].priority, found[2].cause) == (3, "ai is down")
    assert found[4].due_ms - found[1].due_ms >= 8_000_000
    assert {theirs.message_id, due.message_id} <= {each.message_id for each in look.waiting("images")}
    assert [each.message_id for each in look.waiting("images", actor="crop")] == [soon.message_id]
    assert len(look.waiting("images", limit=2)) == 2


def test_an_orgs_delayed_messages_are_found_among_others(fair: FairRedisBroker) -> None:
    """Also where thousands of others' come before them."""
    fair.send_many((_message(number) for number in range(1_500)), delay=60_000)
    mine = send(fair, delay=120_000)

    assert [each.message_id for each in inspector(fair).waiting("images", "acme")] == [mine.message_id]


def test_workers_are_shown_with_what_they_have(fair: FairRedisBroker, raw: "Redis") -> None:
    """What each said of itself, and its messages, the longest in hand first; to an org its own."""
    oldest, theirs = send(fair), send(fair, org="other")
    for message in fetch(fair, 2):
        _lease_sooner(raw, fair, message, 5_000 if message.message_id == oldest.message_id else 0)
    other = serving(fair, "exports", threads=8, region="eu", rss_bytes=5_000_000)
    operations(fair).quiet(other)
    look = inspector(fair)

    mine, idle = sorted(look.workers(), key=lambda each: each.id == other)

    assert (idle.pid, idle.host, idle.version, idle.threads, idle.region) == (7, "h", "1", 8, "eu")
    assert (idle.queues, idle.rss_bytes, idle.quiet, idle.leased) == (("exports",), 5_000_000, True, 0)
    assert idle.place == "h:7"
    assert 0 <= idle.last_beat_s < 60
    assert (mine.id, mine.place, mine.pid, mine.quiet, mine.leased) == (
        fair.worker_id,
        fair.worker_id,
        None,
        False,
        2,
    )
    assert [each.message_id for each in mine.in_flight] == [oldest.message_id, theirs.message_id]
    assert 5 <= mine.in_flight[0].age_s < 60
    assert (mine.in_flight[0].actor, mine.in_flight[0].org, mine.in_flight[0].queue) == (
        "resize",
        "acme",
        "images",
    )
    (only_theirs,) = [each for each in look.workers("other") if each.id == fair.worker_id]
    assert [each.org for each in only_theirs.in_flight] == ["other"]


def _age(raw: "Redis", broker: FairRedisBroker, where: str, ms: int) -> None:
    """Have a lane's messages wait for longer."""
    key = f"{broker.base}:l:images:{where}"
    org, _, lane = where.partition(":")
    entries = [each.decode().partition("|") for each in batch(raw, key, 0, 100)]
    raw.delete(key)
    raw.rpush(key, *(f"{int(since) - ms}|{message_id}" for since, _, message_id in entries))
    raw.zincrby(f"{broker.base}:ql:images:{org}", -ms, lane)


def _lease_sooner(raw: "Redis", broker: FairRedisBroker, message: LeasedMessage, ms: int) -> None:
    """Have a message been in hand for longer."""
    parts = message.lease.token.split("|")
    parts[4] = str(int(parts[4]) - ms)
    raw.hset(f"{broker.base}:lease:{broker.worker_id}", message.lease.message_id, "|".join(parts))


def _message(number: int) -> "Message[object]":
    return Message(
        queue_name="images", actor_name="resize", args=(number,), kwargs={}, options={"org": "other"}
    )
