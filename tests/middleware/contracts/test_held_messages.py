"""Messages for a newer build, on a broker that can let parked messages go: held once, until such a worker is there."""

from typing import Any, ClassVar

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries as DramatiqRetries
from pydantic import BaseModel

from middleware import Contracts, Parked, Retries
from middleware.base.poller import Poller
from middleware.contracts.guard import UnknownVersion
from middleware.contracts.held_messages import Release
from tests.middleware.brokers import replace_stack
from tests.middleware.delegating_broker import EnforcingBroker

HOLD_MAX_MS = 1_000


class Resize(BaseModel):
    """A contract with a past."""

    contract_version: ClassVar[int] = 3
    image_id: int


class Build:
    """One release's guard on a broker, and a clock."""

    def __init__(self, broker: StubBroker, *, retries: Any = None) -> None:
        self.broker = broker
        self.now_ms = 1_000
        self.guard = Contracts(
            hold_ms=10, hold_max_ms=HOLD_MAX_MS, flags=Poller(interval_s=3_600), now_ms=lambda: self.now_ms
        )
        replace_stack(broker, self.guard, retries or Retries(max_retries=0))

        @dramatiq.actor(broker=broker, upcasters={2: dict})
        def resize(job: Resize) -> None: ...

        @dramatiq.actor(broker=broker)
        def plain() -> None: ...

    def message(self, version: int = 3, *, actor: str = "resize") -> MessageProxy:
        """What another release sent."""
        options = {"admitted": True, "contract_version": version}
        return MessageProxy(
            dramatiq.Message(
                queue_name="default", actor_name=actor, args=({"image_id": 1},), kwargs={}, options=options
            )
        )


def test_a_newer_message_is_held_once_for_as_long_as_may_be() -> None:
    """Under its version, so that a worker that knows it can let it go."""
    build = Build(EnforcingBroker())

    with pytest.raises(Parked) as caught:
        build.guard.admit(build.broker, build.message(4))

    assert (caught.value.delay_ms, caught.value.key) == (HOLD_MAX_MS, "version:resize:4")


def test_held_again_it_has_only_what_is_left() -> None:
    """A worker of this build that gets it a second time does not begin a new day, and gives it up in the end."""
    build = Build(EnforcingBroker())
    message = build.message(4)
    with pytest.raises(Parked):
        build.guard.admit(build.broker, message)

    build.now_ms += 400
    with pytest.raises(Parked) as caught:
        build.guard.admit(build.broker, message)
    assert caught.value.delay_ms == HOLD_MAX_MS - 400

    build.now_ms += 600
    with pytest.raises(UnknownVersion):
        build.guard.admit(build.broker, message)


def test_beside_dramatiqs_retries_it_is_offered_again_and_again() -> None:
    """They would park it for a day without saying under what."""
    build = Build(EnforcingBroker(), retries=DramatiqRetries())

    with pytest.raises(Parked) as caught:
        build.guard.admit(build.broker, build.message(4))

    assert (caught.value.delay_ms, caught.value.key) == (10, "version:resize")


def test_a_worker_lets_go_what_it_can_run() -> None:
    """Of each contract today's version and those that lead to it, and what no worker knew the actor of."""
    broker = EnforcingBroker()
    build = Build(broker)

    build.guard.before_worker_boot(broker, dramatiq.Worker(broker))

    assert broker.released == ["actor:plain", "actor:resize", "version:resize:2", "version:resize:3"]


def test_it_lets_go_again_now_and_then() -> None:
    """An older worker that is still there may hold the next one; an actor that comes later does not wait."""
    broker = EnforcingBroker()
    Build(broker)
    now_s = [0.0]
    release = Release(broker, every_s=30, monotonic=lambda: now_s[0])
    release()
    release()
    assert len(broker.released) == 4

    now_s[0] = 30.0
    release()
    assert len(broker.released) == 8

    @dramatiq.actor(broker=broker)
    def late() -> None: ...

    release()
    assert "actor:late" in broker.released
