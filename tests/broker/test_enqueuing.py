"""The one place where the broker asks where a message goes."""

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Message

from broker import FairRedisBroker
from tests.broker.conftest import MakeBroker
from tests.broker.workers import run_all

pytestmark = pytest.mark.slow

#: Takes a message and how many milliseconds it is delayed by; gives it as it was sent.
Send = Callable[[FairRedisBroker, Message[Any]], object]


def to_annex(message: Message[Any]) -> Message[Any]:
    """A route: to another queue, once."""
    return message.copy(queue_name=f"{message.queue_name}.annex")


@pytest.mark.parametrize(
    "send",
    [
        lambda broker, message: broker.enqueue(message),
        lambda broker, message: broker.enqueue(message, delay=10_000_000),
        lambda broker, message: broker.send_many([message]),
        lambda broker, message: broker.park(message, delay_ms=10_000_000, cause="by a test"),
    ],
    ids=["enqueue", "delayed", "send_many", "park"],
)
def test_every_message_is_routed_once(new_broker: MakeBroker, send: Send) -> None:
    """However it is enqueued; hooks see it as it goes."""
    seen: list[str] = []

    class Watch(dramatiq.Middleware):
        def before_enqueue(self, broker: dramatiq.Broker, message: Message[Any], delay: int | None) -> None:
            seen.append(message.queue_name)

    broker = new_broker(route=to_annex, middleware=[Watch()])
    actor = dramatiq.actor(broker=broker)(_nothing)

    send(broker, actor.message())

    assert seen == ["default.annex"]
    assert (broker.do_qsize("default"), broker.do_qsize("default.annex")) == (0, 1)


def test_what_hooks_enqueue_is_routed_too(new_broker: MakeBroker) -> None:
    """It goes along with the end of the message whose hooks these are."""

    class Follow(dramatiq.Middleware):
        def after_process_message(
            self,
            broker: dramatiq.Broker,
            message: dramatiq.broker.MessageProxy,
            *,
            result: object = None,
            exception: BaseException | None = None,
        ) -> None:
            broker.enqueue(second.message())

    broker = new_broker(
        route=lambda message: to_annex(message) if message.actor_name == "second" else message,
        middleware=[Follow()],
    )
    first = dramatiq.actor(broker=broker, actor_name="first")(_nothing)
    second = dramatiq.actor(broker=broker, actor_name="second")(_nothing)

    first.send()
    run_all(broker, threads=1)

    assert (broker.do_qsize("default"), broker.do_qsize("default.annex")) == (0, 1)


def test_a_message_that_cannot_be_routed_is_the_only_one_refused(new_broker: MakeBroker) -> None:
    """The sender is given the reason; of many, the others go."""

    def route(message: Message[Any]) -> Message[Any]:
        if message.options.get("nowhere"):
            raise LookupError("no way")
        return message

    broker = new_broker(route=route)
    actor = dramatiq.actor(broker=broker)(_nothing)
    lost = actor.message().copy(options={"nowhere": True})

    with pytest.raises(LookupError, match="no way"):
        broker.enqueue(lost)
    sent, refused, also_sent = broker.send_many([actor.message(), lost, actor.message()])

    assert isinstance(refused, LookupError)
    assert isinstance(sent, Message)
    assert isinstance(also_sent, Message)
    assert broker.do_qsize("default") == 2


def _nothing() -> None:
    pass
