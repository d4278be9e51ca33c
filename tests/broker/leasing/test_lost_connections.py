"""A connection dropped at the worst moment loses and doubles nothing; more is in `promises/`."""

import threading
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import pipeline
from dramatiq.errors import ConnectionClosed

from tests.broker.conftest import MakeBroker, Work
from tests.broker.cutting_proxy import Proxy
from tests.broker.workers import folders, run_all, take
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


def test_an_end_whose_answer_gets_lost_is_not_carried_out_twice(
    proxy: Proxy, new_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again, and refused; what went along with it was done the first time."""
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)
    broker = new_broker(proxy.url)
    ran: list[str] = []

    @dramatiq.actor(broker=broker)
    def first() -> int:
        ran.append("first")
        proxy.lose_answer(b"second")
        return 7

    @dramatiq.actor(broker=broker)
    def second(n: int) -> None:
        ran.append(f"second {n}")

    _run_both(broker, first.message(), _piped(second))
    run_all(broker)

    assert proxy.lost.is_set()
    assert ran == ["first", "second 7"]


def test_an_end_whose_answer_gets_lost_counts_as_no_refusal(
    proxy: Proxy, new_broker: MakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else has the message: it was this worker's own call that ended it. One that lost its lease is refused."""
    broker = new_broker(proxy.url)
    actor = dramatiq.actor(broker=broker)(_nothing)
    consumer = broker.consume("default", prefetch=2, timeout=5_000)
    for _ in range(2):
        actor.send()
    first, second = take(consumer), take(consumer)
    session = broker._sessions.current
    assert session is not None
    session.flush(beat=True)  # the server knows the script
    proxy.lose_answer(first.message_id.encode())
    consumer.ack(first)
    assert proxy.lost.wait(10)
    session.flush(beat=True)
    assert len(session._leases) == 1

    assert (session.refused, "finished too late" in caplog.text) == (0, False)
    broker.client.delete(f"{broker.base}:lease:{session.worker_id}")
    consumer.ack(second)
    session.flush(beat=True)
    assert session.refused == 1
    consumer.close()


def test_a_fetch_whose_answer_gets_lost_strands_nothing(
    proxy: Proxy, new_broker: MakeBroker, raw: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """What it leased goes back at the next contact, in order; what the worker knows of stays with it."""
    broker = new_broker(proxy.url)
    actor = dramatiq.actor(broker=broker)(_nothing)
    consumer = broker.consume("default", prefetch=3, timeout=5_000)
    sent = [actor.send().message_id]
    first = take(consumer)
    sent += [actor.send().message_id for _ in range(2)]
    proxy.lose_answer(b"\r\ndefault\r\n$1\r\n2\r\n")
    with pytest.raises(ConnectionClosed):
        next(consumer)

    again = [first, take(consumer), take(consumer)]

    assert [message.message_id for message in again] == sent
    assert "2 messages came with an answer that got lost" in caplog.text
    for message in again:
        consumer.ack(message)
    assert eventually(lambda: folders(raw, broker) == {})
    consumer.close()


def test_a_send_that_is_repeated_is_one_message(
    proxy: Proxy, new_broker: MakeBroker, raw: "redis.Redis"
) -> None:
    """Sending is tried again when there is no answer; the server knows the enqueue by its id."""
    broker = new_broker(proxy.url)
    actor = dramatiq.actor(broker=broker)(_nothing)
    proxy.lose_answer(b"EVALSHA")

    actor.send()

    assert proxy.lost.is_set()
    assert folders(raw, broker) == {"ready": 1}


def test_acks_wait_for_a_server_that_is_away(
    proxy: Proxy, new_broker: MakeBroker, work: Work, raw: "redis.Redis"
) -> None:
    """A job that ends meanwhile is done, and told when the server is back; it does not run again."""
    broker = new_broker(proxy.url)
    runs: list[int] = []
    ended = threading.Event()

    @dramatiq.actor(broker=broker)
    def job() -> None:
        runs.append(1)
        proxy.cut()
        ended.set()

    job.send()
    work(broker)
    assert ended.wait(10)
    assert folders(raw, broker) == {"leased": 1}

    proxy.restore()

    assert eventually(lambda: folders(raw, broker) == {})
    assert runs == [1]


def _piped(actor: "dramatiq.Actor[[int], None]") -> "dramatiq.Message[Any]":
    # What it gets is the result of the step before.
    return actor.message_with_options()


def _run_both(broker: dramatiq.Broker, *steps: "dramatiq.Message[Any]") -> None:
    pipeline(steps, broker=broker).run()  # type: ignore[no-untyped-call]


def _nothing() -> None:
    pass
