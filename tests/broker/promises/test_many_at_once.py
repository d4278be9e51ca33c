"""Many messages are sent in few calls, those of a queue all or none: the connection may drop, the queue may be full."""

from contextlib import suppress

import redis

from broker import FairRedisBroker, QueueFull
from tests.broker.cutting_proxy import Proxy
from tests.broker.promises.brokers import Either
from tests.broker.promises.scenario import Stage

MANY = 100


def test_vanilla_sends_one_by_one(vanilla: Stage, proxy: Proxy) -> None:
    """It has no bulk enqueue: a call each."""
    assert _calls(vanilla, proxy) == MANY


def test_ours_sends_them_together(ours: Stage, proxy: Proxy) -> None:
    """`send_many` is one call for up to 256 messages."""
    assert _calls(ours, proxy) == 1


def test_vanilla_leaves_some_sent(vanilla: Stage, proxy: Proxy) -> None:
    """A connection that drops on the way leaves the first ones sent and the others not."""
    assert 0 < _stored_when_the_connection_drops(vanilla, proxy) < MANY


def test_ours_leaves_none_sent(ours: Stage, proxy: Proxy) -> None:
    """A connection that drops within a call leaves none of its messages sent, and each says so."""
    assert _stored_when_the_connection_drops(ours, proxy) == 0


def test_vanilla_takes_any_number(vanilla: Stage) -> None:
    """A queue has no bounds but the server's memory."""
    _send(vanilla, vanilla.broker())

    assert vanilla.unfinished() == MANY


def test_ours_refuses_all_of_too_many(ours: Stage) -> None:
    """With `max_queue_depth` none is stored that would not fit with all others, and each says when to try again."""
    broker = FairRedisBroker(url=ours.url, namespace=ours.namespace, max_queue_depth=MANY - 1)
    answers = _send(ours, broker)
    broker.close()

    assert ours.unfinished() == 0
    assert all(isinstance(each, QueueFull) and each.retry_after_s > 0 for each in answers)


def _calls(stage: Stage, proxy: Proxy) -> int:
    broker = stage.broker(url=proxy.url)
    _send(stage, broker)  # the server knows the script by now
    before = proxy.calls
    _send(stage, broker)
    return proxy.calls - before


def _stored_when_the_connection_drops(stage: Stage, proxy: Proxy) -> int:
    broker = stage.broker(url=proxy.url)
    proxy.cut_after(MANY * 100)  # a message has more bytes than that
    with suppress(redis.ConnectionError):
        answers = _send(stage, broker)
        assert all(isinstance(each, Exception) for each in answers)
    return stage.unfinished()


def _send(stage: Stage, broker: Either) -> list[object]:
    messages = [stage.message("quick", str(n)) for n in range(MANY)]
    if isinstance(broker, FairRedisBroker):
        return list(broker.send_many(messages))
    return [broker.enqueue(each) for each in messages]
