"""What tests of cron have: an actor with a schedule, periodiq's schedulers, and a clock they share."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import dramatiq
import pendulum
import periodiq
from dramatiq.broker import MessageProxy

from middleware import Retries
from middleware.cron.guard import Cron, cron
from middleware.cron.memory import MemoryCronStore
from middleware.cron.store import CronStore
from tests.middleware.brokers import replace_stack, work
from tests.middleware.recorded_metrics import Emitted

#: A Monday noon, in UTC.
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def outcomes(emitted: Emitted) -> list[str]:
    """What became of ticks, in order."""
    return [labels["outcome"] for labels in emitted.labels_of("cron_ticks_total")]


def wait_for(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(1_000))


class Clock:
    """The one clock of a stage."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def now_ms(self) -> int:
        return int(self.moment.timestamp() * 1_000)

    def at(self, text: str, seconds: int = 0) -> datetime:
        """Put the clock to an hour and minute of the day."""
        hour, minute = map(int, text.split(":"))
        self.moment = NOON.replace(hour=hour, minute=minute, second=seconds)
        return self.moment


class Stage:
    """A periodic actor, periodiq's schedulers, and workers that work when they are told to."""

    def __init__(
        self,
        broker: dramatiq.Broker,
        expression: str = "* * * * *",
        *,
        store: CronStore | None = None,
        behind: tuple[dramatiq.Middleware, ...] = (),
        guard: Mapping[str, Any] | None = None,
        max_retries: int = 0,
        **schedule: Any,
    ) -> None:
        self.broker = broker
        self.clock = Clock()
        self.store = store or MemoryCronStore(now_ms=self.clock.now_ms)
        self.queue = f"q{uuid4().hex}"
        self.actor_name = f"tick_{uuid4().hex}"
        self.ran: list[str] = []
        self.act: Callable[[], None] = lambda: None
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.guard = self.make_guard(**(guard or {}))
        replace_stack(
            broker, self.guard, *behind, Retries(max_retries=max_retries, min_backoff=1, max_backoff=1)
        )

        @dramatiq.actor(
            broker=broker,
            queue_name=self.queue,
            actor_name=self.actor_name,
            periodic=cron(expression, **schedule),
        )
        def tick() -> None:
            self.ran.append(_ticks.current.removeprefix("2026-01-05T").removesuffix(":00+00:00"))
            self.act()

        broker.add_middleware(_Remembers())
        self.actor = tick

    def make_guard(self, **options: Any) -> Cron:
        """One process's guard."""
        settings: dict[str, Any] = {"undecided_delay_ms": 50, "grace_s": 60.0, **options}
        return Cron(self.store, now=self.clock.now, wait=self._wait, **settings)

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.on_wait()

    def schedule(self, at: str, *, schedulers: int = 1, seconds: int = 0) -> None:
        """What so many periodiq schedulers do when they wake up at a time of the day."""
        now = pendulum.instance(self.clock.at(at, seconds))
        for _ in range(schedulers):
            scheduler = periodiq.Scheduler(actors=list(self.broker.actors.values()))
            scheduler.send_actors([a for a in scheduler.actors if a.options["periodic"].validate(now)], now)

    def work(self, threads: int = 1) -> None:
        work(self.broker, self.queue, threads=threads)


class _Ticks(threading.local):
    current = ""


_ticks = _Ticks()


class _Remembers(dramatiq.Middleware):
    """Tells the actor its tick; behind the guard."""

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        _ticks.current = message.options.get("cron_tick", "by hand")
