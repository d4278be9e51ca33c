"""The rules: anybody may do anything, in any order, and the answer may get lost each time."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from broker.keys import lane_of
from broker.leasing.lease import BACK, DEAD, DONE, AckOperation, Lease, Sent
from tests.broker.model.converted import count_bytes
from tests.broker.model.draining import drain
from tests.broker.model.fleet import QUEUES, Fleet
from tests.broker.model.messages import Messages
from tests.broker.model.worker import Fate, Worker

HOUR_MS = 3_600_000
ORGS = ("a", "b", "")
ACTORS = ("crop", "mail")
PARKED_UNDER = ("flag:x", "lock:y")

queues = st.sampled_from(["q", "q", *QUEUES])
orgs = st.sampled_from(["a", *ORGS])
actors = st.sampled_from(ACTORS)
slots = st.sampled_from([None, None, ("k", 1), ("k", 2), ("j", 1)])
lanes = st.builds(lane_of, actors, st.sampled_from([0, 0, 1, -1]), slots)
delays = st.sampled_from([0, 0, 0, 1, 1_000, HOUR_MS])
fates: st.SearchStrategy[Fate] = st.sampled_from(["answered", "answered", "answered", "answer lost"])
#: Which of those that are there, by counting round: what is drawn must not depend on what the server said.
picks = st.integers(0, 30)
gates = st.one_of(
    st.builds("q:{}".format, queues),
    st.builds("a:{}".format, actors),
    st.builds("o:{}".format, orgs),
    st.builds("x:{}:{}".format, orgs, actors),
)


Act = TypeVar("Act", bound=Callable[..., None])

#: What may be done: how often it is drawn, and what with.
_often: list[str] = []
_with: dict[str, st.SearchStrategy[dict[str, Any]]] = {}
#: One of these, with what it is done with.
steps = st.deferred(
    lambda: st.sampled_from(_often).flatmap(lambda name: st.tuples(st.just(name), _with[name]))
)


def action(often: int, /, **parameters: st.SearchStrategy[Any]) -> Callable[[Act], Act]:
    """One of the things that anybody may do. All are one rule: of several, an example may lack what it needs most."""

    def add(method: Act) -> Act:
        _often.extend([method.__name__] * often)
        _with[method.__name__] = st.fixed_dictionaries(parameters)
        return method

    return add


class Machine(RuleBasedStateMachine):
    """One shard, from empty to empty.

    Parameters:
        client: of a server that nobody else uses.
    """

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__()
        self._client = client
        self._base = f"{uuid4().hex}:{{0}}"
        self._message = Messages()
        self.fleet = Fleet(client, self._base)

    @initialize(mode=st.sampled_from(["any", "share", "probe"]), most=st.sampled_from([0, 0, 1, 3]))
    def begin(self, mode: Any, most: int) -> None:
        """One worker of three may be another kind; orgs may have a limit."""
        self.fleet.workers[2].mode = mode
        self.fleet.max_active = most

    @action(6, queue=queues, org=orgs, lane=lanes, delay=delays, number=st.integers(1, 3), fate=fates)
    def send(self, queue: str, org: str, lane: str, delay: int, number: int, fate: Fate) -> None:
        self.fleet.send([self._message(queue, org, lane, delay_ms=delay) for _ in range(number)], fate=fate)

    @action(
        1,
        queue=queues,
        org=orgs,
        lane=lanes,
        bounds=st.tuples(*[st.integers(0, 6)] * 3),
        number=st.integers(1, 4),
        fate=fates,
    )
    def send_within_bounds(
        self, queue: str, org: str, lane: str, bounds: tuple[int, int, int], number: int, fate: Fate
    ) -> None:
        sent = [self._message(queue, org, lane) for _ in range(number)]
        if self.fleet.send(sent, bounds=bounds, fate=fate) and fate != "answered":
            self.fleet.send(sent, bounds=bounds)

    @action(1, pick=picks)
    def send_again(self, pick: int) -> None:
        """Whose answer got lost may come much later."""
        if self.fleet.unanswered:
            self.fleet.send([self.fleet.unanswered.pop(pick % len(self.fleet.unanswered))])

    @action(1, pick=picks, queue=queues, org=orgs, lane=lanes)
    def send_a_copy(self, pick: int, queue: str, org: str, lane: str) -> None:
        """A message that is here already is sent a second time, by somebody else."""
        ids = sorted({message_id.partition("~")[0] for message_id in self.fleet.state.records})
        if ids:
            self.fleet.send([self._message(queue, org, lane, message_id=ids[pick % len(ids)])])

    @action(2, queue=queues, org=orgs, lane=lanes, key=st.sampled_from([*PARKED_UNDER, ""]))
    def park(self, queue: str, org: str, lane: str, key: str) -> None:
        self.fleet.send([self._message(queue, org, lane, delay_ms=HOUR_MS, parked=f"some cause\n{key}")])

    @action(10, worker=picks, queue=queues, room=st.integers(1, 6), fate=fates)
    def fetch(self, worker: int, queue: str, room: int, fate: Fate) -> None:
        self.fleet.fetch(self._worker(worker), queue, room, fate)

    @action(
        10,
        worker=picks,
        pick=picks,
        outcome=st.sampled_from([DONE, DONE, DEAD, BACK]),
        plan=st.sampled_from(["nothing", "nothing", "retry", "park", "next", "both"]),
        delay=delays,
        refund=st.booleans(),
        took_ms=st.sampled_from([0.0, 5.0, 10_000.0]),
        claim=st.sampled_from([None, None, "delete", "change", "of another"]),
    )
    def end(
        self,
        worker: int,
        pick: int,
        outcome: str,
        plan: str,
        delay: int,
        refund: bool,
        took_ms: float,
        claim: str | None,
    ) -> None:
        who = self._worker(worker, [each for each in self._everybody() if each.holds or each.lost])
        held = [*who.holds, *who.lost]
        if held:
            lease = held[pick % len(held)]
            who.end(
                lease,
                outcome,
                carried=tuple(self._follow(lease, plan, delay)),
                operations=tuple(self._claim(lease, claim)),
                took_ms=took_ms,
                refund=refund,
            )

    @action(3, worker=picks, fate=fates)
    def flush(self, worker: int, fate: Fate) -> None:
        recorded_deaths = [each for each in self._everybody() if each.finished]
        self.fleet.flush(self._worker(worker, recorded_deaths), fate)

    @action(1, worker=picks, queue=queues)
    def beat(self, worker: int, queue: str) -> None:
        """All its threads are busy, and what is due becomes ready all the same."""
        self.fleet.flush_with(self._worker(worker), queue)

    @action(2, worker=picks)
    def reconcile(self, worker: int) -> None:
        self.fleet.reconcile(self._worker(worker))

    @action(2, number=st.integers(0, 2))
    def fall_silent(self, number: int) -> None:
        self.fleet.put_to_sleep(number)

    @action(1, number=st.integers(0, 2), what=st.sampled_from(["stopped", "signal 9", "code 1"]))
    def die(self, number: int, what: str) -> None:
        worker = self.fleet.workers[number]
        self.fleet.put_to_sleep(number)
        self.fleet.report(worker, what)

    @action(4, number=st.integers(0, 2), times=st.integers(1, 4), queue=queues)
    def die_again_and_again(self, number: int, times: int, queue: str) -> None:
        """Of the same message, unless others are before it."""
        for _ in range(times):
            worker = self.fleet.workers[number]
            self.fleet.fetch(worker, queue, 1)
            if not self.fleet.fetch(worker, queue, 1) and not worker.holds:
                return
            self.fleet.put_to_sleep(number)
            self.fleet.report(worker, "signal 9")
            self.fleet.flush(self.fleet.workers[number - 1])

    @action(1, number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        self.fleet.leave(number)

    @action(1, worker=picks, on=st.integers(0, 1))
    def quiet(self, worker: int, on: int) -> None:
        self.fleet.run("quiet", self._worker(worker).worker_id, on)

    @action(1, worker=picks)
    def introduce(self, worker: int) -> None:
        self.fleet.run("publish_worker", self._worker(worker).worker_id, "{}")

    @action(1, key=st.sampled_from(PARKED_UNDER))
    def release(self, key: str) -> None:
        self.fleet.release(key)

    @action(
        1,
        source=st.sampled_from(["people", "breaker"]),
        shut=st.dictionaries(gates, st.sampled_from([0, 0, HOUR_MS]), max_size=2),
    )
    def shut(self, source: str, shut: dict[str, int]) -> None:
        self.fleet.shut(source, {gate: ms and self.fleet.shard.now_ms + ms for gate, ms in shut.items()})

    @action(1, shares=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(1, 3), max_size=2))
    def limit_orgs(self, shares: dict[str, int]) -> None:
        self.fleet.limit_orgs(shares)

    @action(1, actor=actors, rate=st.sampled_from([None, (1_000.0, 0.0), (60_000.0, 120_000.0)]))
    def limit_rate(self, actor: str, rate: tuple[float, float] | None) -> None:
        self.fleet.limit_rate(actor, rate)

    @action(3, ms=st.sampled_from([1, 500, 5_000, 60_000, HOUR_MS]))
    def wait(self, ms: int) -> None:
        self.fleet.advance(ms)

    @action(1, ms=st.sampled_from([500, 60_000, HOUR_MS]))
    def step_back(self, ms: int) -> None:
        self.fleet.step_back(ms)

    @action(1)
    def count_bytes(self) -> None:
        count_bytes(self.fleet)

    @action(1, queue=queues)
    def drop_all(self, queue: str) -> None:
        self.fleet.drop_all(queue)

    @action(1, pick=picks)
    def clean_lanes(self, pick: int) -> None:
        lanes = sorted(self.fleet.state.lanes)
        if lanes:
            queue, org, _ = lanes[pick % len(lanes)]
            self.fleet.clean_lanes(queue, org)

    @action(
        1,
        queue=queues,
        org=orgs,
        states=st.sampled_from([("delayed",), ("parked",), ("delayed", "parked"), ("suspect",)]),
    )
    def clean_aside(self, queue: str, org: str, states: tuple[str, ...]) -> None:
        self.fleet.clean_aside(queue, org, *states)

    @action(1, pick=picks, priority=st.integers(-1, 1))
    def reprioritise(self, pick: int, priority: int) -> None:
        everything = sorted(self.fleet.state.records)
        if everything:
            self.fleet.reprioritise(everything[pick % len(everything)], priority)

    @rule(step=steps)
    def do(self, step: tuple[str, dict[str, Any]]) -> None:
        """Anything."""
        name, parameters = step
        getattr(self, name)(**parameters)

    def teardown(self) -> None:
        """Whatever was done: all that is there can be run, and then nothing is left."""
        if not self.fleet.broken:
            drain(self.fleet)
        for key in self._client.scan_iter(f"{self._base}:*"):
            self._client.delete(key)

    def _everybody(self) -> list[Worker]:
        return [*self.fleet.workers, *self.fleet.sleepers[-2:]]

    def _worker(self, number: int, of: list[Worker] | None = None) -> Worker:
        """One of these, if there are any."""
        some = of or self._everybody()
        return some[number % len(some)]

    def _follow(self, lease: Lease, plan: str, delay: int) -> list[Sent]:
        """What the message's after hooks enqueue."""
        place = (lease.queue, lease.org, lease.lane)
        same = lease.message_id.partition("~")[0]
        follow = []
        if plan in ("retry", "both"):
            follow.append(self._message(*place, delay_ms=delay, message_id=same))
        if plan == "park":
            parked = f"some cause\n{PARKED_UNDER[0]}"
            follow.append(self._message(*place, delay_ms=HOUR_MS, parked=parked, message_id=same))
        if plan in ("next", "both"):
            follow.append(self._message("r", lease.org, lease.lane))
        return follow

    def _claim(self, lease: Lease, claim: str | None) -> list[AckOperation]:
        """What a guard has changed together with the message's end."""
        if claim is None:
            return []
        key = self.fleet.claim(lease.message_id.replace("~", "-"), lease.token)
        expected = "somebody else" if claim == "of another" else lease.token
        new = ("owner", "nobody") if claim == "change" else None
        return [AckOperation(key, "owner", expected, new, 100_000 * HOUR_MS)]
