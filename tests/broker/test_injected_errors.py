"""An error at any write of any script loses nothing: the call takes back what it wrote, and is made anew.

Each script that writes has a scene that takes it through what it can do. For each of its writes in turn the scene is
played with an error there: all invariants of the model hold at once, and everything that was sent runs.
"""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from broker import scripts
from broker.leasing.lease import BACK, DEAD, DONE, AckOperation
from tests.broker.model.conftest import quiet_server
from tests.broker.model.converted import count_bytes
from tests.broker.model.draining import drain
from tests.broker.model.failing_machine import FailingMachine
from tests.broker.model.fleet import Fleet
from tests.broker.model.injecting import Scene, at_each_write
from tests.broker.model.messages import Messages
from tests.broker.model.scenes import suspect
from tests.broker.model.test_model import EXAMPLES, LONG, STEPS

__all__ = ["quiet_server"]

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000
FOLDER = Path(scripts.__file__).parent / "lua"

Arm = Callable[[], None]


def test_an_error_at_any_write_is_as_if_the_call_had_not_been_made(
    quiet_server: "redis.Redis", name: str
) -> None:
    """And the next call does all of it."""
    writes = at_each_write(lambda: Fleet(quiet_server, f"{uuid4().hex}:{{0}}"), name, SCENES[name])

    assert writes > 0


def test_an_error_in_any_history_is_as_if_the_call_had_not_been_made(quiet_server: "redis.Redis") -> None:
    """Whatever clients did before; `MODEL_EXAMPLES=2000` looks longer."""
    run_state_machine_as_test(
        lambda: FailingMachine(quiet_server),  # type: ignore[arg-type]  # what makes one will do
        settings=settings(
            max_examples=max(5, EXAMPLES // 4),
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            phases=set(Phase) if LONG else {Phase.explicit, Phase.reuse, Phase.generate},
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_script_that_writes_has_a_scene() -> None:
    """A new one is not left out."""
    written = {
        path.stem
        for path in FOLDER.glob("*.lua")
        if "-- NEEDS:" in path.read_text() and "Reads only." not in path.read_text()
    }

    assert written == SCENES.keys() | ELSEWHERE.keys()


def _busy(fleet: Fleet) -> Messages:
    """Two queues with something of every kind, and a worker that holds some of it."""
    message = Messages()
    fleet.limit_orgs({"a": 3})
    fleet.limit_rate("mail", (60_000.0, 0.0))
    fleet.shut("people", {"x:b:crop": fleet.shard.now_ms + HOUR_MS})
    for org in ("a", "b", "c", ""):
        fleet.send([message(org=org), message(org=org, lane="mail:0"), message(org=org, lane="crop:0:k:1")])
    fleet.send([message(org="a", lane="crop:0:k:1") for _ in range(2)])
    fleet.send([message(org="b", lane="mail:1"), message("r", org="c")])
    fleet.send([message(org="a", delay_ms=5), message(org="c", delay_ms=HOUR_MS)])
    fleet.send([message(org="b", delay_ms=5, parked="some cause\nflag:x")])
    return message


def _held(fleet: Fleet) -> Messages:
    """What is there, and a worker with ends of every kind."""
    message = _busy(fleet)
    worker = fleet.workers[0]
    fleet.fetch(worker, "q", 6)
    fleet.fetch(fleet.workers[1], "q", 2)
    held = list(worker.holds)
    for lease, outcome in zip(held, [DONE, DONE, DEAD, BACK, DONE, DONE], strict=False):
        number = held.index(lease)
        place = (lease.queue, lease.org, lease.lane)
        carried = {
            0: (message(*place, delay_ms=HOUR_MS, message_id=lease.message_id), message("r", lease.org)),
            1: (message(*place, delay_ms=5, parked="some cause\nlock:y", message_id=lease.message_id),),
            4: (message("r", "new"), message(*place)),
        }.get(number, ())
        operations: tuple[AckOperation, ...] = ()
        if number in (4, 5):
            key = fleet.claim(lease.message_id, lease.token)
            new = ("owner", "nobody") if number == 4 else None
            operations = (AckOperation(key, "owner", lease.token, new, 100_000 * HOUR_MS),)
        worker.end(lease, outcome, carried=carried, operations=operations, refund=number == 5)
    return message


def _enqueue(fleet: Fleet, arm: Arm) -> None:
    message = _busy(fleet)
    arm()
    fleet.send(
        [
            message(org="new"),
            message(org="a"),
            message(org="a", message_id="m1"),
            message("r", org="c", delay_ms=1),
            message(delay_ms=HOUR_MS, parked="some cause\nflag:x"),
        ],
        bounds=(1_000, 1_000, 0),
    )
    drain(fleet)


def _park(fleet: Fleet, arm: Arm) -> None:
    message = _busy(fleet)
    sent = message(delay_ms=HOUR_MS, parked="some cause\nflag:x")
    arm()
    fleet.truth.accept(sent, at_once=False)
    fleet.shard.run("park", "sender", 2, *sent)
    drain(fleet)


def _report_stop(fleet: Fleet, arm: Arm) -> None:
    _held(fleet)
    arm()
    fleet.run("report_stop", fleet.workers[1].worker_id)
    drain(fleet)


def _fetch(fleet: Fleet, arm: Arm) -> None:
    _held(fleet)
    fleet.put_to_sleep(1)
    fleet.shut("people", {})
    fleet.advance(5)
    arm()
    fleet.fetch(fleet.workers[0], "q", 6)
    drain(fleet)


def _finish(fleet: Fleet, arm: Arm) -> None:
    _held(fleet)
    fleet.put_to_sleep(1)
    arm()
    fleet.flush(fleet.workers[0])
    drain(fleet)


def _fetch_of_a_suspect(fleet: Fleet, arm: Arm) -> None:
    message = Messages()
    suspect(fleet, message(lane="crop:0:k:1"))
    fleet.send([message() for _ in range(2)])
    fleet.fetch(fleet.workers[0], "q", 1)
    arm()
    fleet.fetch(fleet.workers[0], "q", 1)
    drain(fleet)


def _reconcile(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.fetch(fleet.workers[0], "q", 4, "answer lost")
    arm()
    fleet.reconcile(fleet.workers[0])
    drain(fleet)


def _report_death(fleet: Fleet, arm: Arm) -> None:
    _held(fleet)
    arm()
    fleet.report(fleet.workers[1], "signal 9")
    drain(fleet)


def _release(fleet: Fleet, arm: Arm) -> None:
    message = _busy(fleet)
    fleet.send([message(delay_ms=HOUR_MS, parked="some cause\nflag:x")])
    arm()
    fleet.release("flag:x")
    drain(fleet)


def _set_gates(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.shut("breaker", {"a:crop": 0})
    fleet.fetch(fleet.workers[0], "q", 6)
    arm()
    fleet.shut("people", {"o:a": 0, "a:crop": fleet.shard.now_ms + HOUR_MS})
    fleet.shut("breaker", {})
    drain(fleet)


def _configure(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.fetch(fleet.workers[0], "q", 6)
    arm()
    fleet.limit_orgs({"b": 4})
    drain(fleet)


def _set_rates(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.fetch(fleet.workers[0], "q", 6)
    arm()
    fleet.limit_rate("mail", None)
    drain(fleet)


def _leave(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.flush(fleet.workers[2])
    fleet.run("publish_worker", fleet.workers[2].worker_id, "{}")
    fleet.run("quiet", fleet.workers[2].worker_id, 1)
    arm()
    fleet.leave(2)
    drain(fleet)


def _publish_worker(fleet: Fleet, arm: Arm) -> None:
    fleet.flush(fleet.workers[0])
    arm()
    fleet.run("publish_worker", fleet.workers[0].worker_id, "{}")
    drain(fleet)


def _quiet(fleet: Fleet, arm: Arm) -> None:
    fleet.flush(fleet.workers[0])
    arm()
    fleet.run("quiet", fleet.workers[0].worker_id, 1)
    fleet.run("quiet", fleet.workers[0].worker_id, 0)
    drain(fleet)


def _flush(fleet: Fleet, arm: Arm) -> None:
    _held(fleet)
    for org in ("a", "b", "c", ""):
        fleet.clean_lanes("q", org)
    arm()
    fleet.drop_all("q")
    drain(fleet)


def _clean_lane(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    arm()
    fleet.clean_lanes("q", "a")
    drain(fleet)


def _clean_aside(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    arm()
    fleet.clean_aside("q", "b", "parked")
    drain(fleet)


def _reprioritise(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    [message_id, *_] = sorted(
        each
        for each, header in fleet.state.records.items()
        if header.lane == "crop:0:k:1" and header.org == "a"
    )
    arm()
    fleet.reprioritise(message_id, -1)
    drain(fleet)


def _free_lanes(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    fleet.limit_rate("crop", (HOUR_MS, 0.0))
    fleet.fetch(fleet.workers[0], "q", 6)
    arm()
    fleet.limit_rate("crop", None)
    drain(fleet)


def _count_bytes(fleet: Fleet, arm: Arm) -> None:
    _busy(fleet)
    arm()
    count_bytes(fleet)
    drain(fleet)


#: By script, what takes it through all that it does.
SCENES: dict[str, Scene] = {
    "enqueue": _enqueue,
    "fetch": _fetch,
    "finish": _finish,
    "park": _park,
    "report_stop": _report_stop,
    "reconcile": _reconcile,
    "report_death": _report_death,
    "release": _release,
    "set_gates": _set_gates,
    "configure": _configure,
    "set_rates": _set_rates,
    "leave": _leave,
    "publish_worker": _publish_worker,
    "quiet": _quiet,
    "flush": _flush,
    "clean_lanes": _clean_lane,
    "clean_aside": _clean_aside,
    "reprioritise": _reprioritise,
    "free_lanes": _free_lanes,
    "count_bytes": _count_bytes,
}

#: What writes once, or outside of the shard: by name, why that is enough.
ELSEWHERE = {
    "keep_letter": "writes a letter under a name of its own, which a second call writes again",
    "begin_schema": "one write",
    "raise_schema": "one write",
    "pass_on": "one write",
    "hold_orgs": "does what a fetch does, which finds what it leaves",
    "convert_lanes": "moves lane by lane, and begins again where it was: tests/upgrade",
    "convert_delayed": "adds what is missing, which a second call does again: tests/broker/test_converting.py",
    "drain_dramatiq": "puts each message in one place before it leaves the other: tests/broker/drain",
    "drain_dramatiq_dead_letters": "the same",
    "reclaim_dramatiq": "the same",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(SCENES))
