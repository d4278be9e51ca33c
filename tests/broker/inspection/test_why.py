"""Why a message has not started: every cause, made for real, and nothing of another org's."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from broker import FairRedisBroker
from broker.inspection.why import Cause
from tests.broker.conftest import MakeBroker
from tests.broker.inspection.inspection_helpers import (
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


def causes(broker: FairRedisBroker, message_id: str) -> list[Cause]:
    """Of a message, the main one first."""
    return [each.cause for each in inspector(broker).why(message_id).reasons]


def test_what_nobody_sent_is_unknown(fair: FairRedisBroker) -> None:
    """So is what has ended: nothing is left of it here."""
    never = inspector(fair).why(uuid4().hex)
    sent = send(fair)
    message = fetched(fair)
    fair.consume("images").ack(message)

    assert (never.cause, never.queue) == ("unknown", None)
    assert eventually(lambda: causes(fair, sent.message_id) == ["unknown"])


def test_another_orgs_message_is_unknown(fair: FairRedisBroker) -> None:
    """In the same words as one that nobody sent, whatever it waits for; its own org and operators see it."""
    sent = send(fair, delay=60_000)
    look = inspector(fair)

    theirs, nobodys = look.why(sent.message_id, "other"), look.why("x", "other")

    assert (theirs.reasons, theirs.queue, theirs.org, theirs.actor) == (nobodys.reasons, None, None, None)
    assert look.why(sent.message_id, "acme").cause == look.why(sent.message_id).cause == "delayed"


def test_a_message_is_reported_with_all_it_is(fair: FairRedisBroker) -> None:
    """Org and key as they were given, whatever they look like in the store."""
    sent = send(fair, org="a:b|c", priority=7, concurrency=("site:1", 2))

    why = inspector(fair).why(sent.message_id, "a:b|c")

    assert (why.queue, why.org, why.actor) == ("images", "a:b|c", "resize")
    assert (why.priority, why.concurrency_key) == (7, "site:1")


def test_delayed_until(fair: FairRedisBroker) -> None:
    """To the millisecond, by the server's clock."""
    before_ms = fair.server_now_ms()
    sent = send(fair, delay=3_600_000)
    after_ms = fair.server_now_ms()

    (reason,) = inspector(fair).why(sent.message_id).reasons

    assert reason.cause == "delayed"
    assert reason.until_ms is not None
    assert before_ms <= reason.until_ms - 3_600_000 <= after_ms
    assert reason.text.startswith("Delayed until 20")


def test_parked_for_a_cause(fair: FairRedisBroker) -> None:
    """With the cause in its words, and what would release it."""
    sent = park(fair, "ai is down", "breaker:ai")

    (reason,) = inspector(fair).why(sent.message_id).reasons

    assert (reason.cause, reason.key) == ("parked", "breaker:ai")
    assert "ai is down" in reason.text


@pytest.mark.parametrize("key", ["version:resize:3", "actor:resize"])
def test_held_for_a_worker_of_another_version(fair: FairRedisBroker, key: str) -> None:
    """One that knows the message's version, or its actor."""
    sent = park(fair, "held for a newer version", key)

    (reason,) = inspector(fair).why(sent.message_id).reasons

    assert (reason.cause, reason.key) == ("held", key)


@pytest.mark.parametrize("gate", ["q:images", "a:resize", "o:a:b", "x:a:b:resize"])
@pytest.mark.parametrize("found", [False, True], ids=["not fetched yet", "put aside"])
def test_paused_by_whom(fair: FairRedisBroker, gate: str, found: bool) -> None:
    """By each kind of gate, whether or not a fetch has found it shut."""
    sent = send(fair, org="a:b")
    fair.shut("pauses", {gate: (0, "paused: it all by ada")})
    if found:
        assert next(fair.consume("images", timeout=50)) is None

    why = inspector(fair).why(sent.message_id)

    assert why.cause == "paused"
    assert "by ada" in why.text
    assert why.reasons[0].until_ms is None


def test_a_pause_that_is_over_is_none(fair: FairRedisBroker) -> None:
    """One that lasts says until when."""
    sent = send(fair)
    until_ms = fair.server_now_ms() + 60_000
    fair.shut("pauses", {"q:images": (until_ms, "paused: queue images by ada"), "a:resize": (1, "over")})

    why = inspector(fair).why(sent.message_id)

    assert [each.until_ms for each in why.reasons if each.cause == "paused"] == [until_ms]


def test_a_breaker_until(fair: FairRedisBroker) -> None:
    """Which one, and when it is tried again."""
    sent = send(fair)
    until_ms = fair.server_now_ms() + 60_000
    fair.shut("breakers", {"a:resize": (until_ms, "ai is down")})

    why = inspector(fair).why(sent.message_id)

    assert (why.cause, why.reasons[0].until_ms, why.reasons[0].key) == ("breaker", until_ms, "a:resize")
    assert why.text.startswith("Ai is down, until 20")


def test_the_orgs_limit(fair: FairRedisBroker) -> None:
    """How many run, of how many; whether it is the org's own number or everyone's."""
    fair.enforce(SimpleNamespace(kind="max_active", default=1))
    for _ in range(2):
        send(fair)
    waiting = send(fair)
    fetched(fair)

    why = inspector(fair).why(waiting.message_id)

    assert why.cause == "org_limit"
    assert (why.reasons[0].running, why.reasons[0].limit) == (1, 1)
    assert "behind" in causes(fair, waiting.message_id)


def test_the_concurrency_key(fair: FairRedisBroker) -> None:
    """It is full; another key's message is not held back by it."""
    one, other = (send(fair, concurrency=(site, 1)) for site in ("a.org", "a.org"))
    free = send(fair, concurrency=("b.org", 1))
    assert fetched(fair).message_id == one.message_id

    why = inspector(fair).why(other.message_id)

    assert (why.cause, why.reasons[0].key) == ("key_full", "a.org")
    assert (why.reasons[0].running, why.reasons[0].limit) == (1, 1)
    assert "key_full" not in causes(fair, free.message_id)


def test_a_rate_until(fair: FairRedisBroker) -> None:
    """When the next may start."""
    fair.enforce(SimpleNamespace(kind="rate", actor="resize", interval_ms=60_000.0, tolerance_ms=0.0))
    send(fair)
    waiting = send(fair)
    before_ms = fair.server_now_ms()
    fetched(fair)

    (rate,) = [each for each in inspector(fair).why(waiting.message_id).reasons if each.cause == "rate"]

    assert rate.until_ms is not None
    assert rate.until_ms >= before_ms + 60_000


def test_no_worker_for_the_queue(fair: FairRedisBroker) -> None:
    """Nor for the region, which is a queue of its own; those that are served are named."""
    sent, regional = send(fair), send(fair, queue="exports.eu")
    assert causes(fair, sent.message_id) == ["no_worker"]

    serving(fair, "exports", "exports.us")
    serving(fair, "images", silent=True)

    why = inspector(fair).why(regional.message_id)
    assert (why.cause, why.reasons[0].served) == ("no_worker", ("exports", "exports.us"))
    assert causes(fair, sent.message_id) == ["no_worker"]
    assert "workers serve exports, exports.us" in why.text


def test_all_workers_are_quiet(fair: FairRedisBroker) -> None:
    """Until one of them is resumed."""
    sent = send(fair)
    worker_id = serving(fair, "images")
    assert operations(fair).quiet(worker_id)

    assert causes(fair, sent.message_id) == ["workers_quiet"]
    assert operations(fair).resume(worker_id)
    assert causes(fair, sent.message_id) == ["next"]


def test_all_workers_are_busy(fair: FairRedisBroker) -> None:
    """Every thread of every worker of the queue has a message in hand."""
    first, waiting = send(fair), send(fair, org="other")
    message = fetched(fair)
    assert fair.worker_id is not None
    about = '{"queues": ["images"], "threads": 1, "pid": 7, "host": "h"}'
    fair.client.hset(f"{fair.base}:wi", fair.worker_id, about)

    (reason,) = inspector(fair).why(waiting.message_id).reasons

    assert (reason.cause, reason.running, reason.limit) == ("workers_busy", 1, 1)
    assert message.message_id == first.message_id


def test_behind_those_of_its_own_org(fair: FairRedisBroker) -> None:
    """Of its own lane those before it, of other lanes those that are older or more urgent; no other org's."""
    serving(fair, "images")
    for _ in range(3):
        send(fair)
    for _ in range(2):
        send(fair, actor="crop", priority=-100)
    waiting = send(fair)
    send(fair)
    send(fair, actor="crop", priority=100)
    send(fair, org="other")

    why = inspector(fair).why(waiting.message_id)

    assert why.cause == "behind"
    assert (why.reasons[0].ahead_in_lane, why.reasons[0].ahead) == (3, 5)
    assert why.reasons[0].orgs_ahead == 0
    assert "5 of its own org go first" in why.text


@pytest.mark.parametrize("ahead", [1_500, 11_500, 12_000])
def test_a_place_far_back_in_a_lane_is_exact(fair: FairRedisBroker, ahead: int) -> None:
    """However long the lane is: it is looked through in portions."""
    serving(fair, "images")
    send(fair)
    lane = f"{fair.base}:l:images:acme:resize:0"
    now_ms = fair.server_now_ms()
    others = [f"{now_ms}|{number}" for number in range(ahead)]
    fair.client.rpush(lane, *others)
    waiting = send(fair)

    why = inspector(fair).why(waiting.message_id)

    assert (why.cause, why.reasons[0].ahead_in_lane) == ("behind", ahead + 1)


def test_other_orgs_go_before_its_own(fair: FairRedisBroker) -> None:
    """How many: those whose turn is sooner."""
    serving(fair, "images")
    send(fair)
    fetched(fair)
    sent = send(fair)
    for org in ("b", "c"):
        send(fair, org=org)

    reason = inspector(fair).why(sent.message_id).reasons[0]

    assert (reason.cause, reason.orgs_ahead) == ("next", 2)
    assert "after 2 other orgs' turns" in reason.text


def test_nothing_holds_it_back(fair: FairRedisBroker) -> None:
    """A worker of its queue has a free thread, and it is first in line."""
    sent = send(fair)
    serving(fair, "images")

    assert causes(fair, sent.message_id) == ["next"]


def test_a_worker_has_it(fair: FairRedisBroker) -> None:
    """Which, and since when; until another takes over from one that fell silent."""
    sent = send(fair)
    before_ms = fair.server_now_ms()
    fetched(fair)
    look = inspector(fair)

    (reason,) = look.why(sent.message_id).reasons
    assert (reason.cause, reason.worker) == ("leased", fair.worker_id)
    assert reason.since_ms is not None
    assert reason.since_ms >= before_ms
    assert fair.worker_id is not None

    fair.report_death(fair.worker_id, -9, stopped=False)
    assert "another worker will take it over" in look.why(sent.message_id).text


def test_a_suspect_waits_to_run_isolated(new_broker: MakeBroker) -> None:
    """Two workers died with it; then it was alone twice, and will be given up."""
    namespace = uuid4().hex
    first = new_broker(namespace=namespace)
    sent = send(first)
    for _ in range(2):
        dying = new_broker(namespace=namespace)
        assert fetched(dying).message_id == sent.message_id
        assert dying.worker_id is not None
        dying.report_death(dying.worker_id, -11, stopped=False)
        reclaim(first)

    (suspect, *_) = inspector(first).why(sent.message_id).reasons
    first.client.hset(f"{first.base}:d", sent.message_id, "4|2|SIGSEGV")

    assert suspect.cause == "suspect"
    assert "died 2 times" in suspect.text
    assert "SIGSEGV" in suspect.text
    assert causes(first, sent.message_id)[0] == "poison"


@pytest.mark.parametrize(
    "error", [None, {"category": "provider", "class": "app.Refused", "fingerprint": "f"}]
)
def test_given_up(fair: FairRedisBroker, error: dict[str, str] | None) -> None:
    """When, and with which error where the message says it."""
    options: dict[str, Any] = {} if error is None else {"error": error}
    sent = send(fair, **options)
    before_ms = fair.server_now_ms()
    message = fetched(fair)
    fair.consume("images").nack(message)
    look = inspector(fair)
    assert eventually(lambda: look.why(sent.message_id, queues=["images"]).cause == "dead")

    why = look.why(sent.message_id, "acme", queues=["images"])

    assert why.reasons[0].since_ms is not None
    assert why.reasons[0].since_ms >= before_ms
    assert ("provider (app.Refused)" if error else "no error is kept") in why.text
    assert look.why(sent.message_id, "other", queues=["images"]).cause == "unknown"
