"""A lease is one worker's, for one delivery: who lost it can change nothing any more."""

import threading

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.common import current_millis
from redis import Redis

from broker import FairRedisBroker
from broker.leasing.lease import DONE, AckOperation, Lease, LeasedMessage, Sent
from broker.leasing.session import WorkerSession
from tests.broker.conftest import MakeBroker, Work
from tests.broker.workers import dead, folders, take
from tests.middleware.eventually import PATIENCE_S, eventually

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("changes", [[], [AckOperation("k", "f", "1", None, 5)]], ids=["alone", "changing"])
@pytest.mark.parametrize("foreign", range(5))
def test_names_that_are_no_text_are_reported_as_they_came(foreign: int, changes: list[AckOperation]) -> None:
    """Whichever it is of a lease's five, and whatever is changed with its end."""
    raw = [b"m1", b"1|0|10|0|0|", b"default", b"acme", b"job:0"]
    raw[foreign] += b"\xff\xc3\xa9"
    message_id, token, queue, org, lane = (each.decode("utf-8", "surrogateescape") for each in raw)
    ended = Lease(message_id, token, queue, org, lane)
    ended.operations = changes

    record = [each.encode() if isinstance(each, str) else each for each in ended.record()]

    assert [record[0], record[1], *record[4:7]] == raw


def test_the_ack_of_a_worker_that_was_given_up_is_refused(new_broker: MakeBroker, raw: "Redis") -> None:
    """The message is with another by then, and stays there; what was to go along with the end is not done."""
    frozen, other = _two(new_broker)
    actor = dramatiq.actor(broker=frozen)(_nothing)
    sent = actor.send().message_id
    stale = take(frozen.consume("default", timeout=5_000))
    _silence(raw, frozen, stale)
    again = take(other.consume("default", timeout=5_000))
    assert again.message_id == sent

    stale.lease.carried = [Sent("never", "u", 0, "", b"default\n\n_nothing:0\nu\nnever")]
    _session(frozen).end(stale.lease, DONE)

    assert eventually(lambda: _session(frozen).refused == 1)
    assert folders(raw, frozen) == {"leased": 1}
    other.consume("default").ack(again)
    assert eventually(lambda: folders(raw, frozen) == {})


def test_a_worker_that_was_given_up_does_not_begin_what_it_had_fetched(
    new_broker: MakeBroker, raw: "Redis", work: Work
) -> None:
    """Others run it; here it leaves the worker's memory, and no hook sees it."""
    frozen, other = _two(new_broker)
    ran: list[int] = []
    gate, begun = threading.Event(), threading.Event()

    def job(n: int) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        ran.append(n)

    actor = dramatiq.actor(broker=frozen, actor_name="job")(job)
    for n in range(4):
        actor.send(n)
    worker = work(frozen)
    assert begun.wait(PATIENCE_S)
    third = new_broker(namespace=frozen.namespace)
    third.consume("default")
    raw.zadd(f"{frozen.base}:workers", {_session(frozen).worker_id: 1})
    # Before it beats again.
    _session(third).flush(beat=True)
    dramatiq.actor(broker=other, actor_name="job")(ran.append)

    work(other)
    assert eventually(lambda: sorted(ran) == [0, 1, 2, 3])
    assert eventually(lambda: worker.work_queue.qsize() == 0)
    gate.set()

    assert eventually(lambda: folders(raw, frozen) == {})
    assert sorted(ran) == [0, 0, 1, 2, 3]


def test_what_a_dead_worker_held_comes_back_first_and_in_order(new_broker: MakeBroker, raw: "Redis") -> None:
    """To the heads of its lanes, before everything that was sent later."""
    gone, other = _two(new_broker)
    actor = dramatiq.actor(broker=gone)(_nothing)
    sent = [actor.send().message_id for _ in range(6)]
    consumer = gone.consume("default", prefetch=4, timeout=5_000)
    held = [take(consumer) for _ in range(4)]
    _silence(raw, gone, held[0])

    theirs = other.consume("default", prefetch=6, timeout=5_000)

    assert [take(theirs).message_id for _ in range(6)] == sent


def test_other_workers_notice_a_dead_one_without_any_traffic(new_broker: MakeBroker, raw: "Redis") -> None:
    """Their beats look after it."""
    gone, other = _two(new_broker)
    actor = dramatiq.actor(broker=gone)(_nothing)
    other.declare_queue("unused")
    actor.send()
    held = take(gone.consume("default", timeout=5_000))
    other.consume("unused")
    _session(gone)._timer.stop()  # nothing beats for it any more
    _session(gone)._timer.join()

    _silence(raw, gone, held)

    assert eventually(lambda: folders(raw, gone) == {"ready": 1})


def test_a_message_whose_thread_died_goes_back(fair: FairRedisBroker, raw: "Redis") -> None:
    """The process lives and beats, so nobody else would ever free it."""
    actor = dramatiq.actor(broker=fair)(_nothing)
    sent = actor.send()
    consumer = fair.consume("default", timeout=5_000)
    message = take(consumer)
    thread = threading.Thread(target=fair.emit_before, args=("process_message", message))
    thread.start()
    thread.join()

    again = take(fair.consume("default", timeout=PATIENCE_S * 1_000))

    assert again.message_id == sent.message_id
    assert folders(raw, fair) == {"leased": 1}


def test_what_waits_behind_a_long_job_goes_to_others(
    new_broker: MakeBroker, raw: "Redis", work: Work
) -> None:
    """Fetched ahead and not begun after a second: back in its place, and not fetched again meanwhile."""
    broker = new_broker()
    gate, begun = threading.Event(), threading.Event()

    @dramatiq.actor(broker=broker)
    def long() -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    for _ in range(3):
        long.send()
    work(broker)
    assert begun.wait(PATIENCE_S)

    assert eventually(lambda: folders(raw, broker) == {"ready": 2, "leased": 1})
    gate.set()
    assert eventually(lambda: folders(raw, broker) == {})
    assert dead(raw, broker) == 0


def _two(new_broker: MakeBroker) -> tuple[FairRedisBroker, FairRedisBroker]:
    one = new_broker(heartbeat_timeout=60_000)
    return one, new_broker(namespace=one.namespace, heartbeat_timeout=60_000)


def _session(broker: FairRedisBroker) -> WorkerSession:
    session = broker._sessions.current
    assert session is not None
    return session


def _silence(raw: "Redis", broker: FairRedisBroker, message: LeasedMessage) -> None:
    """Let the worker look as if it had not beaten since long ago."""
    assert isinstance(message, LeasedMessage)
    assert raw.zadd(f"{broker.base}:workers", {_session(broker).worker_id: current_millis() - 120_000}) == 0


def _nothing() -> None:
    pass


def test_a_forked_process_is_another_worker(fair: FairRedisBroker) -> None:
    """A child that consumes leases for itself, not in its parent's name."""
    fair.enqueue(Message("default", "nobody", (), {}, {}))
    fair.consume("default")
    session, fair._sessions._pid = _session(fair), -2

    fair.consume("default")

    assert _session(fair).worker_id != session.worker_id
    session.close()
