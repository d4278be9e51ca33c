"""The deadline guard, on Dramatiq's stub broker and on a real server."""

import contextvars
import math
import threading
import time
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from middleware import InvalidPayload
from middleware.cancellation.guard import checkpoint
from middleware.deadlines.guard import Deadlines, remaining
from tests.middleware.brokers import stored
from tests.middleware.deadlines.deadline_broker import Rig, busy
from tests.middleware.recorded_metrics import Emitted, handling

NOW_MS = 1_800_000_000_000.0


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard as it comes, but for ending the process."""
    return Rig(bare_broker)


def test_a_job_over_its_limit_is_interrupted_charged_and_tried_again(rig: Rig) -> None:
    """Its category is timeout, and when the last attempt is over too, it fails."""
    rig.declare(busy, time_limit=20)
    rig.broker.get_actor("job").send()

    with handling(emitted := Emitted()):
        rig.work()

    assert rig.ends.seen == [("retried", "timeout"), ("failed", "timeout")]
    assert emitted.of("deadlines_exceeded_total", actor="job", queue=rig.queue) == [1, 1]
    assert len(rig.dead()) == 1


def test_the_limit_is_precise(rig: Rig) -> None:
    """It does not wait for the next second, as Dramatiq's own does."""
    rig.declare(busy, time_limit=20, max_retries=0)
    rig.broker.get_actor("job").send()

    begun = time.monotonic()
    rig.work()

    assert time.monotonic() - begun < 0.9


@pytest.mark.parametrize(
    ("actor", "message", "expected_s"),
    [
        ({}, {}, 600),
        ({"time_limit": 90_000}, {}, 90),
        ({"time_limit": 90_000}, {"time_limit": 30_000}, 30),
        ({"time_limit": math.inf}, {}, None),
        ({"time_limit": math.inf}, {"expires_at": NOW_MS + 5_000}, 5),
        ({"time_limit": 90_000}, {"expires_at": NOW_MS + 500_000}, 90),
        ({"time_limit": 90_000}, {"expires_at": NOW_MS + 60_000}, 60),
    ],
)
def test_a_job_sees_how_long_it_has(
    bare_broker: dramatiq.Broker, actor: dict[str, Any], message: dict[str, Any], expected_s: float | None
) -> None:
    """The message's own limit counts before the actor's, and whatever ends first is the deadline."""
    rig = Rig(bare_broker, now_ms=lambda: NOW_MS)
    seen: list[float | None] = []
    rig.declare(lambda: seen.append(remaining()), **actor)
    rig.broker.get_actor("job").send_with_options(**message)

    rig.work()

    (left_s,) = seen
    if expected_s is None:
        assert left_s is None
    else:
        assert left_s is not None
        assert expected_s - 5 < left_s <= expected_s


def test_what_is_left_gets_less_and_never_negative() -> None:
    """A time-out may be set from it as it is."""
    now_s, seen = [100.0], []
    rig = Rig(StubBroker(middleware=[]), monotonic=lambda: now_s[0])

    def look() -> None:
        for moment in (100.0, 101.5, 103.0, 250.0):
            now_s[0] = moment
            seen.append(remaining())

    rig.declare(look, time_limit=3_000)
    rig.broker.get_actor("job").send()
    rig.work()

    assert seen == [3.0, 1.5, 0.0, 0.0]
    assert remaining() is None


def test_a_checkpoint_ends_a_job_whose_time_is_used_up() -> None:
    """Also where no interrupt gets through."""
    now_s = [100.0]
    rig = Rig(StubBroker(middleware=[]), monotonic=lambda: now_s[0])

    def look() -> None:
        checkpoint()
        now_s[0] += 10
        checkpoint()

    rig.declare(look, time_limit=10_000, max_retries=0)
    rig.broker.get_actor("job").send()
    rig.work()

    assert rig.ends.seen == [("failed", "timeout")]


def test_threads_of_a_job_see_its_deadline_in_a_copy_of_its_context(rig: Rig) -> None:
    """As all context variables are handed on."""
    seen: list[float | None] = []

    def fan_out() -> None:
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: seen.append(context.run(remaining)))
        thread.start()
        thread.join()

    rig.declare(fan_out, time_limit=60_000)
    rig.broker.get_actor("job").send()
    rig.work()

    assert seen[0] is not None


def test_an_expired_message_never_runs_and_is_kept_whole(rig: Rig) -> None:
    """It is rejected with everything it came with, at once and without a retry; the category is timeout."""
    ran: list[object] = []
    rig.declare(ran.append)
    rig.broker.get_actor("job").send_with_options(args=("payload",), expires_at=1.0, org="o")

    with handling(emitted := Emitted()):
        rig.work()

    assert ran == []
    assert rig.ends.seen == [("expired", "timeout")]
    (dead,) = rig.dead()
    assert dead.args == ("payload",)
    assert (dead.options["org"], dead.options.get("retries")) == ("o", None)
    assert emitted.of("messages_expired_total", actor="job", queue=rig.queue) == [1]


@pytest.mark.parametrize("where", ["guard", "actor", "message"])
def test_a_message_older_than_its_max_age_never_runs(bare_broker: dramatiq.Broker, where: str) -> None:
    """As with Dramatiq's own limit, which this one replaces."""
    rig = Rig(bare_broker, **({"max_age_ms": 1_000} if where == "guard" else {}))
    ran: list[object] = []
    job = rig.declare(ran.append, **({"max_age": 1_000} if where == "actor" else {}))
    options: dict[str, Any] = {"max_age": 1_000} if where == "message" else {}
    fresh = job.message_with_options(
        args=("fresh",), **{**options, **({"max_age": 60_000} if options else {})}
    )
    old = job.message_with_options(args=("old",), **options)
    rig.broker.enqueue(old.copy(message_timestamp=old.message_timestamp - 1_000))
    if where == "message":
        rig.broker.enqueue(fresh)

    rig.work()

    assert ran == (["fresh"] if where == "message" else [])
    assert [each.args for each in rig.dead()] == [("old",)]


def test_a_job_is_interrupted_when_its_message_expires(bare_broker: dramatiq.Broker) -> None:
    """What comes after is of no use to anybody; the retry finds it expired."""
    now_ms = [NOW_MS]
    rig = Rig(bare_broker, now_ms=lambda: now_ms[0])

    def run() -> None:
        now_ms[0] += 50
        busy()

    rig.declare(run)
    rig.broker.get_actor("job").send_with_options(expires_at=NOW_MS + 50)

    rig.work()

    assert rig.ends.seen == [("retried", "timeout"), ("expired", "timeout")]


@pytest.mark.parametrize("name", ["expires_at", "time_limit", "max_age"])
@pytest.mark.parametrize("value", ["soon", 0, -1, True])
def test_nonsense_is_refused_in_the_senders_face(rig: Rig, name: str, value: object) -> None:
    """The option is named, and nothing is enqueued."""
    rig.declare(busy)

    with pytest.raises(InvalidPayload, match=f"options.{name}: must be a number of milliseconds"):
        rig.broker.get_actor("job").send_with_options(**{name: value})  # type: ignore[arg-type]

    assert stored(rig.broker, rig.queue) == []


@pytest.mark.parametrize("name", ["time_limit_ms", "max_age_ms", "grace_ms", "frozen_after_ms"])
def test_nonsensical_parameters_are_refused_when_the_guard_is_made(name: str) -> None:
    """The mistake is named where it was made."""
    with pytest.raises(ValueError, match=f"{name} must be more than 0, not 0"):
        Deadlines(**{name: 0})  # type: ignore[arg-type]  # nonsense by design
