"""Pauses: what somebody stopped for a while waits, whole and uncharged, and goes on when it is resumed."""

import random
from collections.abc import Callable
from typing import Any

from dramatiq import Broker, Message, Worker
from dramatiq.broker import MessageProxy

from ..base.delegation import Gates, SupportsGates, delegate, stamp_org
from ..base.emit import emit_counter, labels_of
from ..base.errors import Parked
from ..base.gates import GatePublisher, Shut, merge_gate
from ..base.guard import Guard, Position
from ..base.poller import Poller, shared_poller
from ..region_concurrency.guard import RegionConcurrency
from .pauses import Pause, PauseCache, PauseStore

#: How long at most a message of something paused is parked before it is looked at again, in milliseconds.
DEFAULT_PARK_MS = 5_000


class Pauses(Guard):
    """Holds back the messages of what is paused with `PauseControl`: a queue, an actor, an org, or an org's actor.

    Without it a queue is paused by stopping its workers, which stops every other queue they serve, and one org or
    one actor cannot be paused at all.

    - A message that is due is parked: it comes back after `park_ms` at most, its attempts as they were. What runs
      already runs to its end.
    - Sending goes on as ever. A delayed message is held when it comes due; a message without an org is held by its
      queue or actor alone.
    - A pause that has an end ends there by itself.
    - Waiting costs age: a message that passes its `expires_at` or `max_age` meanwhile is found expired when the
      pause is over, and rejected as any other.

    Costs no round trip a job: pauses reach each process by one background poll a second, which asks once. A store
    that is away is asked again; until it answers, what was known stays in force.

    On a broker that has gates (see `base.delegation`), what is paused is not fetched at all, and goes on as soon as a
    process hears that it may. Only what was fetched before is parked.

    Parameters:
      store: Where pauses are kept.
      park_ms: How long a message is parked at most before it is looked at again; the least is half of it. So also
        how long after `resume` it may take. Default 5,000.
      flags: The poll that fetches pauses. Default the process's own, shared with other guards.
      uniform: Draws a number between two; for tests. Default `random.uniform`.

    Example:
      >>> broker.add_middleware(Pauses(RedisPauseStore(client)))
      >>> PauseControl(RedisPauseStore(client)).pause(actor="domain_export", who="ada", for_ms=600_000)
    """

    position = Position.PAUSE

    def __init__(
        self,
        store: PauseStore,
        *,
        park_ms: int = DEFAULT_PARK_MS,
        flags: Poller | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if park_ms < 2:
            raise ValueError(f"park_ms must be at least 2, not {park_ms}")
        super().__init__()
        self._known = PauseCache(store)
        self._park_ms = park_ms
        self._flags = flags or shared_poller()
        self._uniform = uniform
        #: By region, None for what holds everywhere. Empty where the broker has no gates.
        self._gates: dict[str | None, GatePublisher] = {}

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        stamp_org(broker, message)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        if isinstance(broker, SupportsGates) and delegate(broker, [Gates()]):
            self._gates = {None: GatePublisher(broker, "pauses")}
            for region in _regions(broker):
                # Each region says what only it has: none knows the others' names.
                self._gates[region] = GatePublisher(broker, f"pauses:{region}")
        self._flags.add("pauses", self.refresh)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._flags.remove(self.refresh)
        # What is shut stays shut: others may be at work.
        self._gates = {}

    def refresh(self) -> None:
        """Fetch what is paused, and tell a broker that has gates.

        Raises:
            StoreUnavailable: the store does not answer.
            BrokerError: the broker has gates and does not answer; the next refresh repeats it.
        """
        self._known.refresh()
        for region, keeper in self._gates.items():
            gates: dict[str, Shut] = {}
            for pause, left_ms in self._known.in_force():
                gate = _gate(pause, region)
                if gate is not None:
                    merge_gate(gates, gate, Shut(pause.until_ms, left_ms, _cause(pause)))
            keeper.tell(gates)

    def admit(self, broker: Broker, message: MessageProxy) -> None:
        pause = self._known.match(message)
        if pause is None:
            return
        emit_counter("messages_paused_total", labels_of(message, what=pause.what.kind))
        # Drawn, so that a whole queue does not come back in the same moment, again and again.
        delay_ms = int(self._uniform(self._park_ms / 2, self._park_ms))
        raise Parked(_cause(pause), delay_ms=delay_ms, key=f"pause:{pause.what}")


def _cause(pause: Pause) -> str:
    return f"paused: {pause.what} by {pause.who}"


def _gate(pause: Pause, region: str | None) -> str | None:
    """What the pause shuts; in a region, what it shuts only there: a queue of the region's own."""
    what = pause.what
    if region is not None:
        return None if what.queue is None else f"q:{what.queue}.{region}"
    if what.queue is not None:
        return f"q:{what.queue}"
    if what.org is None:
        return f"a:{what.actor}"
    return f"o:{what.org}" if what.actor is None else f"x:{what.org}:{what.actor}"


def _regions(broker: Broker) -> set[str]:
    guards = (each for each in broker.middleware if isinstance(each, RegionConcurrency))
    return {each.region for each in guards if each.region is not None}
