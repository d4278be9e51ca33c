"""Gates: what somebody has shut is not handed out, keeps nobody else back, and goes on when it is opened."""

from collections.abc import Callable

import dramatiq
import pytest
import redis

from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker, Work
from tests.broker.workers import all_of, left_for_ever, take
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

FAR_MS = 4_000_000_000_000


@pytest.fixture
def sent(fair: FairRedisBroker) -> list[tuple[str, str]]:
    """Two messages of each of two actors for each of two orgs."""
    made = []
    for name in ("write", "read"):
        actor = dramatiq.actor(broker=fair, actor_name=name)(_nothing)
        for org in ("a", "b:c"):
            for _ in range(2):
                actor.send_with_options(org=org)
                made.append((name, org))
    return made


@pytest.mark.parametrize(
    ("gate", "kept"),
    [
        ("q:default", lambda name, org: True),
        ("q:other", lambda name, org: False),
        ("a:write", lambda name, org: name == "write"),
        ("o:b:c", lambda name, org: org == "b:c"),
        ("x:b:c:write", lambda name, org: name == "write" and org == "b:c"),
    ],
)
def test_what_is_shut_stays_and_all_else_goes_on(
    fair: FairRedisBroker,
    sent: list[tuple[str, str]],
    gate: str,
    kept: Callable[[str, str], bool],
) -> None:
    """A queue, an actor, an org, an org's actor; opened again, the rest comes at once."""
    fair.shut("pauses", {gate: (0, "paused by ada")})
    consumer = fair.consume("default", prefetch=10, timeout=300)

    went = [(each.actor_name, each.options["org"]) for each in all_of(consumer)]
    assert sorted(went) == sorted(each for each in sent if not kept(*each))
    fair.shut("pauses", {})
    rest = [(each.actor_name, each.options["org"]) for each in all_of(consumer)]

    assert sorted(went + rest) == sorted(sent)


def test_a_gate_opens_by_itself_at_its_time(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """A worker that waits looks then, without being told."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    actor.send_with_options(org="a")
    fair.shut("breaker:ai", {f"a:{actor.actor_name}": (fair.server_now_ms() + 400, "open")})
    consumer = fair.consume("default", prefetch=1, timeout=10_000)

    assert take(consumer).options["org"] == "a"
    assert eventually(lambda: not raw.exists(f"{fair.base}:g"))


def test_what_several_have_shut_is_open_when_all_have_opened_it(
    fair: FairRedisBroker, sent: list[tuple[str, str]]
) -> None:
    """Each source speaks for itself; what it says again changes nothing."""
    fair.shut("pauses", {"a:write": (0, "paused")})
    fair.shut("pauses", {"a:write": (0, "paused"), "a:read": (0, "paused")})
    fair.shut("breaker:ai", {"a:write": (FAR_MS, "open")})
    fair.shut("pauses", {})
    consumer = fair.consume("default", prefetch=10, timeout=300)

    assert {each.actor_name for each in all_of(consumer)} == {"read"}
    fair.shut("breaker:ai", {})
    assert {each.actor_name for each in all_of(consumer)} == {"write"}


def test_a_worker_that_starts_while_something_is_shut_does_not_open_it(
    fair: FairRedisBroker, new_broker: MakeBroker, work: Work, raw: "redis.Redis"
) -> None:
    """And its idle queue wakes nobody again and again."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.shut("pauses", {"q:default": (0, "paused")})
    actor.send()
    work(fair)

    assert eventually(lambda: bool(raw.exists(f"{fair.base}:wi")))
    assert fair.do_qsize("default") == 1
    assert not raw.exists(f"{fair.base}:wake:default")
    fair.shut("pauses", {})
    fair.join("default", timeout=10_000)


def test_what_is_sent_while_an_org_is_shut_stays_too(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """And when all is over, nothing is left."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    fair.shut("pauses", {"o:a": (0, "paused")})
    actor.send_with_options(org="a")
    consumer = fair.consume("default", prefetch=10, timeout=200)
    assert all_of(consumer) == []
    actor.send_with_options(org="a", priority=5)
    assert all_of(consumer) == []
    fair.shut("pauses", {})

    held = all_of(consumer)
    assert len(held) == 2
    for each in held:
        consumer.ack(each)
    fair.close()
    assert left_for_ever(raw, fair) == []


@pytest.mark.parametrize("gate", ["", "a", "z:b", "x:org"])
def test_a_gate_that_is_none_is_refused(fair: FairRedisBroker, gate: str) -> None:
    """Before anything is written; the message says what there is."""
    with pytest.raises(ValueError, match="a gate is q:<queue>"):
        fair.shut("pauses", {gate: (0, "")})


def _nothing() -> None:
    pass
