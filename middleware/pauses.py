"""Pauses: what somebody stopped for a while waits, whole and uncharged, and goes on when it is resumed."""

import random
from collections.abc import Callable

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy

from .emit import emit_counter
from .errors import Parked
from .flags import Flags, process_flags
from .guard import Guard
from .pause_requests import KnownPauses, PauseStore

#: How long at most a message of something paused is parked before it is looked at again, in milliseconds.
DEFAULT_PARK_MS = 5_000


class Pauses(Guard):
    """Holds back the messages of what is paused with `PauseSwitch`: a queue, an actor, an org, or an org's actor.

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

    Parameters:
      store: Where pauses are kept.
      park_ms: How long a message is parked at most before it is looked at again; the least is half of it. So also
        how long after `resume` it may take. Default 5,000.
      flags: The poll that fetches pauses. Default the process's own, shared with other guards.
      uniform: Draws a number between two; for tests. Default `random.uniform`.

    Example:
      >>> broker.add_middleware(Pauses(RedisPauseStore(client)))
      >>> PauseSwitch(RedisPauseStore(client)).pause(actor="domain_export", who="ada", for_ms=600_000)
    """

    def __init__(
        self,
        store: PauseStore,
        *,
        park_ms: int = DEFAULT_PARK_MS,
        flags: Flags | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if park_ms < 2:
            raise ValueError(f"park_ms must be at least 2, not {park_ms}")
        super().__init__()
        self._known = KnownPauses(store)
        self._park_ms = park_ms
        self._flags = flags or process_flags()
        self._uniform = uniform

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        self._flags.add("pauses", self.refresh)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._flags.remove(self.refresh)

    def refresh(self) -> None:
        """Fetch what is paused.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        self._known.refresh()

    def admit(self, broker: Broker, message: MessageProxy) -> None:
        pause = self._known.match(message)
        if pause is None:
            return
        labels = {"actor": message.actor_name, "queue": message.queue_name, "what": pause.what.kind}
        emit_counter("messages_paused_total", labels)
        # Drawn, so that a whole queue does not come back in the same moment, again and again.
        delay_ms = int(self._uniform(self._park_ms / 2, self._park_ms))
        raise Parked(f"paused: {pause.what} by {pause.who}", delay_ms=delay_ms, key=f"pause:{pause.what}")
