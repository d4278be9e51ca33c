"""Messages whose workers die: charged each time, run alone from the second, not run any more after two alone."""

import dramatiq
import pytest
import redis

from broker import FairRedisBroker, PoisonMessage
from broker.leasing.lease import ISOLATED, QUARANTINED, LeasedMessage
from tests.broker.conftest import MakeBroker
from tests.broker.inspection.inspection_helpers import inspector, operations, reclaim
from tests.broker.workers import left_for_ever, take

pytestmark = pytest.mark.slow


def test_the_way_of_a_message_that_kills_its_workers(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Twice in company, twice alone; then it is handed on as failed, with what is known."""
    stage = Stage(new_broker, raw)
    stage.send()

    flags = [stage.die("signal 9").lease.flag for _ in range(4)]
    judged = stage.take()

    # The second death in company is the last one.
    assert flags == ["", "", ISOLATED, ISOLATED]
    assert judged.lease.flag == QUARANTINED
    assert judged.failed
    assert isinstance(judged._exception, PoisonMessage)
    assert (judged._exception.deaths, judged._exception.last) == (4, "SIGKILL")


def test_a_suspect_runs_with_nothing_else_in_its_process(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """The process lets what it has end first, and fetches nothing meanwhile."""
    stage = Stage(new_broker, raw)
    suspect = stage.send()
    stage.die()
    stage.die()
    stage.send()
    worker = stage.broker()
    consumer = worker.consume("default", prefetch=4, timeout=500)
    neighbour = take(consumer)
    assert neighbour.lease.flag == ""
    stage.send()

    assert next(consumer) is None
    consumer.ack(neighbour)
    isolated = take(consumer)
    assert (isolated.message_id, isolated.lease.flag) == (suspect, ISOLATED)
    assert next(consumer) is None
    consumer.ack(isolated)
    assert take(consumer).lease.flag == ""


def test_a_suspect_is_seen_waiting_and_can_be_dropped(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """As any other that waits, by its state too; nothing is left of it."""
    stage = Stage(new_broker, raw)
    suspect = stage.send()
    stage.die()
    stage.die()
    broker = stage.broker()
    reclaim(broker)
    drop = operations(broker).clean

    (waiting,) = inspector(broker).waiting("default")
    assert (waiting.message_id, waiting.state) == (suspect, "suspect")
    assert inspector(broker).waiting("default", "another org") == []
    assert drop("default", states={"ready", "delayed", "parked", "held"}) == 0
    assert drop("default", states={"suspect"}, actor="another") == 0
    assert drop("default", states={"suspect"}, dry_run=True) == drop("default") == 1

    assert broker.do_qsize("default") == 0
    assert not [key for key in left_for_ever(raw, broker) if b":qx:" in key or key.endswith((b":m", b":d"))]


def test_only_one_worker_makes_itself_idle(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """The others go on with their work."""
    stage = Stage(new_broker, raw)
    stage.send()
    stage.die()
    stage.die()
    for _ in range(2):
        stage.send()
    first, second = (stage.broker().consume("default", prefetch=1, timeout=500) for _ in range(2))
    held = take(first)
    ordinary = take(second)
    second.ack(ordinary)
    stage.send()

    assert take(second).lease.flag == ""
    first.ack(held)
    assert take(first).lease.flag == ISOLATED


def test_a_worker_that_was_asked_to_stop_charges_nobody(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Whatever ended it then: a drain that was too long is no crash."""
    stage = Stage(new_broker, raw)
    stage.send()
    for _ in range(5):
        assert stage.die("stopped").lease.flag == ""

    assert not raw.exists(f"{stage.base}:d")


def test_a_suspect_that_is_parked_stays_one(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """A guard that cannot decide, or a breaker that is open, gives it no new chances; a retry does."""
    stage = Stage(new_broker, raw)
    stage.send()
    stage.die()
    stage.die()
    worker = stage.broker()
    consumer = worker.consume("default", timeout=3_000)
    suspect = take(consumer)
    assert suspect.lease.flag == ISOLATED
    worker._hooks._current.lease = suspect.lease
    worker.park(suspect, delay_ms=1, cause="it cannot be decided on")
    worker._hooks._current.lease = None
    consumer.ack(suspect)

    again = take(consumer)
    assert (again.message_id, again.lease.flag) == (suspect.message_id, ISOLATED)
    worker._hooks._current.lease = again.lease
    worker.enqueue(again._message)
    worker._hooks._current.lease = None
    consumer.ack(again)
    assert take(consumer).lease.flag == ""


def test_when_the_server_was_away_nobody_is_taken_for_dead(
    new_broker: MakeBroker, raw: "redis.Redis"
) -> None:
    """All were silent then: they get the time to say that they live; what a supervisor reports counts at once."""
    stage = Stage(new_broker, raw)
    stage.send()
    worker, other = stage.broker(), stage.broker()
    held = take(worker.consume("default", timeout=3_000))
    consumer = other.consume("default", timeout=300)
    long_ago_ms = other.server_now_ms() - 100_000
    raw.zadd(f"{stage.base}:workers", {worker.worker_id or "": long_ago_ms})
    raw.set(f"{stage.base}:heard", long_ago_ms)

    assert next(consumer) is None
    assert raw.pttl(f"{stage.base}:up") > 0
    worker.report_death(worker.worker_id or "", -9, stopped=False)
    assert stage.take().message_id == held.message_id


def test_a_message_that_ends_well_is_cleared(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """Neighbours that died along keep nothing of it, and no key stays."""
    stage = Stage(new_broker, raw)
    stage.send()
    for _ in range(3):
        stage.die()
    worker = stage.broker()
    consumer = worker.consume("default", timeout=3_000)
    consumer.ack(take(consumer))
    worker.close()

    assert not raw.exists(f"{stage.base}:d")
    assert left_for_ever(raw, worker) == []


def test_a_probe_takes_suspects_only(new_broker: MakeBroker, raw: "redis.Redis") -> None:
    """And a worker beside it leaves them to it."""
    stage = Stage(new_broker, raw)
    suspect = stage.send()
    stage.die()
    stage.die()
    other = stage.send()
    supervised, probe = stage.broker(), stage.broker()
    supervised.probe_elsewhere = probe.probe_only = True

    ordinary = supervised.consume("default", prefetch=4, timeout=500)
    assert take(ordinary).message_id == other
    assert next(ordinary) is None
    isolated = probe.consume("default", prefetch=4, timeout=3_000)
    assert take(isolated).message_id == suspect


def test_a_suspect_is_found_behind_any_number_that_may_not_run(
    new_broker: MakeBroker, raw: "redis.Redis"
) -> None:
    """A fetch looks at a hundred of them, and the next one at those behind."""
    stage = Stage(new_broker, raw)
    worker = stage.broker()
    paused = dramatiq.actor(broker=worker, actor_name="paused")(_nothing)
    worker.shut("operator", {"a:paused": (0, "a test")})
    behind = stage.send()
    messages = [paused.send() for _ in range(350)]
    entries = {each.message_id: number for number, each in enumerate(messages)}
    raw.delete(*raw.scan_iter(f"{stage.base}:l:*"), *raw.scan_iter(f"{stage.base}:q[lr]:*"))
    raw.zadd(f"{stage.base}:qx:default", {**entries, behind: 1_000})

    consumer = worker.consume("default", timeout=3_000)
    isolated = take(consumer)

    assert (isolated.message_id, isolated.lease.flag) == (behind, ISOLATED)
    consumer.ack(isolated)
    assert next(worker.consume("default", timeout=500)) is None
    assert not raw.exists(f"{stage.base}:xs:default")


class Stage:
    """Workers, one after the other, on one namespace."""

    def __init__(self, new_broker: MakeBroker, raw: "redis.Redis") -> None:
        self._new_broker = new_broker
        self._raw = raw
        self._sender = new_broker()
        self._actor = dramatiq.actor(broker=self._sender)(_nothing)
        self.base = self._sender.base

    def send(self) -> str:
        """A message; its id."""
        return str(self._actor.send().message_id)

    def broker(self) -> FairRedisBroker:
        """Of another process, as far as the server can tell."""
        return self._new_broker(namespace=self._sender.namespace)

    def take(self) -> LeasedMessage:
        """The next message, in a new process."""
        return take(self.broker().consume("default", timeout=3_000))

    def die(self, how: str = "signal 11") -> LeasedMessage:
        """Take the next message and be dead, as a supervisor reports it."""
        worker = self.broker()
        message = take(worker.consume("default", timeout=3_000))
        code = -int(how.split()[1]) if how != "stopped" else 1
        worker.report_death(worker.worker_id or "", code, stopped=how == "stopped")
        # Nothing of this process may say that it lives.
        session = worker._sessions.current
        assert session is not None
        session.stopping = True
        session._timer.stop()
        session._timer.join()
        self._raw.zadd(f"{self.base}:workers", {session.worker_id: 0})
        return message


def _nothing() -> None:
    pass
