"""Looking after ticks from inside workers: those that run are kept marked, those nobody sent are noticed."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from dramatiq import Broker

from ..base.emit import emit_counter
from .schedule import CronSchedule
from .sending import MADE_UP, SCHEDULED_AT, TICK, arguments, minute_of, moment_of
from .store import CronStore

#: Part of the time between two looks for which one process has them to itself.
LOOK_LEASE_PART = 0.9

#: A mark is renewed this often during its lease.
RENEWALS_PER_LEASE = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningTick:
    """A tick that runs in this process and holds its actor's mark."""

    actor: str
    minute: int
    holder: str


@dataclass(kw_only=True, eq=False)
class MissedTicks:
    """Finds the ticks that were due and neither sent nor claimed, and does what their schedule says.

    Parameters:
      store: Where ticks are counted.
      window_s: How far back it looks, in seconds.
      grace_s: How long after a tick it is missed, in seconds.
      every_s: Seconds between two looks.
      now: The moment; aware.
    """

    store: CronStore
    window_s: float
    grace_s: float
    every_s: float
    now: Callable[[], datetime]
    _who: str = field(default_factory=lambda: uuid4().hex, init=False)

    def find(self, broker: Broker) -> int:
        """Look once at every schedule that no other process looks at; how many ticks were missed.

        What goes wrong for one schedule is raised after the others had their turn, and looked at again next time.
        """
        errors: list[Exception] = []
        count = 0
        for actor_name, schedule in schedules(broker):
            try:
                count += self._find(broker, actor_name, schedule)
            except Exception as error:  # noqa: BLE001  # raised below
                errors.append(error)
        if errors:
            raise errors[0]
        return count

    def _find(self, broker: Broker, actor_name: str, schedule: CronSchedule) -> int:
        lease_s = self.every_s * LOOK_LEASE_PART
        look = self.store.look(actor_name, str(schedule), self._who, lease_s=lease_s)
        if look is None:
            return 0
        until = self.now() - timedelta(seconds=self.grace_s)
        since = max(moment_of(look.since), until - timedelta(seconds=self.window_s))
        if until <= since:
            return 0
        missed = [due for due in schedule.due_between(since, until) if minute_of(due) not in look.seen]
        if missed:
            emit_counter("cron_missed_total", {"actor": actor_name}, by=len(missed))
            logger.warning(
                "%d ticks of %s were missed, due from %s to %s; does a scheduler run? What is done: %s.",
                len(missed),
                actor_name,
                missed[0].isoformat(),
                missed[-1].isoformat(),
                schedule.missed,
            )
        for due in deque(missed, maxlen=_made_up(schedule)):
            _make_up(broker, actor_name, schedule, due)
        self.store.account(actor_name, minute_of(until))
        return len(missed)


@dataclass(kw_only=True, eq=False)
class Watch:
    """Renews marks at each call, and looks for missed ticks when it is time to. Errors are handed on.

    Parameters:
      renew: Renews the marks of running ticks.
      find: Looks for missed ticks.
      failed: Called with what went wrong: the name of the decision, and the error.
      every_s: Seconds between two looks.
    """

    renew: Callable[[], None]
    find: Callable[[], int]
    failed: Callable[[str, Exception], None]
    every_s: float
    _look_at_s: float = field(default=-math.inf, init=False)

    def __call__(self) -> None:
        self._guarded("renew", self.renew)
        if time.monotonic() >= self._look_at_s:
            self._guarded("look", self.find)
            self._look_at_s = time.monotonic() + self.every_s

    def _guarded(self, name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  # the next beat comes whatever happened
            self.failed(name, error)


def schedules(broker: Broker) -> list[tuple[str, CronSchedule]]:
    """The actors that have a schedule, by name."""
    options = [(name, actor.options.get("periodic")) for name, actor in broker.actors.items()]
    return [(name, schedule) for name, schedule in options if isinstance(schedule, CronSchedule)]


def _made_up(schedule: CronSchedule) -> int:
    return {"skip": 0, "coalesce": 1, "catch_up": schedule.catch_up_limit}[schedule.missed]


def _make_up(broker: Broker, actor_name: str, schedule: CronSchedule, due: datetime) -> None:
    options: dict[str, Any] = {TICK: due.isoformat(), MADE_UP: True, SCHEDULED_AT: due.isoformat()}
    actor = broker.actors[actor_name]
    # Not by `send_with_options`, which gives up without a word: what is not sent here must not be accounted for.
    broker.enqueue(actor.message_with_options(args=arguments(schedule), **options))
