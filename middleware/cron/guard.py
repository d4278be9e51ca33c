"""Cron: each tick of a schedule runs once, however many schedulers send it, and a missed one is noticed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy

from ..base.background import PeriodicThread
from ..base.emit import emit_counter
from ..base.errors import MisplacedGuard, Parked, Skipped
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, Guard, OnError, Option, Outcome, Position
from .fields import InvalidSchedule
from .missed_ticks import RENEWALS_PER_LEASE, MissedTicks, RunningTick, Watch
from .schedule import CronSchedule, cron
from .sending import CLAIMED, MADE_UP, SCHEDULED_AT, TICK, TickSender, minute_of
from .store import CronStore

__all__ = ["Cron", "CronSchedule", "CronStore", "InvalidSchedule", "cron"]

#: How long a tick that is owed waits for the one that runs, in milliseconds.
BUSY_DELAY_MS = 5_000

#: How long a worker that ends waits for the look under way, in seconds.
STOP_TIMEOUT_S = 5.0

_SKIPS = {
    "taken": "another message had this tick",
    "covered": "a later run had this tick's work in it",
    "running": "the tick before still runs",
}


class Cron(Guard[RunningTick]):
    """Runs periodic actors once a tick, with the `periodiq` command line or any other scheduler sending.

    Without it two schedulers run everything twice, one scheduler is a single point of failure that ends at the
    first lost connection, and when it has ended nobody knows. `PeriodiqMiddleware`, whose place this takes, drops
    every tick that is over 30 seconds old, so every one that was retried or parked.

        >>> broker.add_middleware(Cron(RedisCronStore(client)))
        >>> @dramatiq.actor(periodic=cron("0 8 * * mon-fri", tz="Europe/Athens", missed="coalesce"))
        ... def send_digests() -> None: ...

        $ periodiq app.actors        # on as many machines as you like

    A message's tick is the minute it was due, in `options["cron_tick"]`. It is claimed when the message is
    performed: the message itself may claim it again, so retries, parks and redeliveries go on; every other
    message with it is skipped. Messages sent by hand have no tick, and just run.

    A tick that waited in a queue until the next ones were due runs and covers those: they are skipped. With
    `missed="catch_up"` the latest `catch_up_limit` run nevertheless.

    With `overlap="skip"` a tick that is due while another one runs is skipped; one that is owed, since it was
    granted before or is made up for, waits. A killed worker's tick counts as running for `run_lease_s` at most.

    Workers look once a minute, one process for all, for ticks that were due and neither sent nor claimed. They
    are logged and counted (`cron_missed_total`), and made up for as `missed` says.

    A tick costs two round trips, one where ticks may overlap; its scheduler one; a worker's look one or two a
    minute and schedule. Messages without a tick cost none.

    Parameters:
      store: Where ticks are claimed and counted.
      window_s: How long a claim is remembered, and how far back missed ticks are made up for, in seconds. A
        message that comes first after that is skipped, since nobody knows whether its tick ran. Default one day.
      grace_s: How long after a tick it is missed, in seconds. Default 60.
      watch_every_s: Seconds between two looks. Default 60.
      run_lease_s: Seconds after which a tick does not count as running any more whose process is gone. Default 60.
      on_error: Whether a tick is parked (the default) or runs unguarded while the store does not answer.
      undecided_delay_ms: How long it is parked then. Default 5,000.
      now: The moment, aware; for tests. Default: the system's clock.
      wait: Waits some seconds between two tries to send a tick; for tests. Default `time.sleep`.
    """

    position = Position.SCHEDULE
    actor_options: ClassVar[set[str]] = {"periodic"}
    message_options = tuple(Option(name, "life") for name in (SCHEDULED_AT, TICK, CLAIMED, MADE_UP))

    def __init__(
        self,
        store: CronStore,
        *,
        window_s: float = 24 * 60 * 60.0,
        grace_s: float = 60.0,
        watch_every_s: float = 60.0,
        run_lease_s: float = 60.0,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(on_error=on_error, undecided_delay_ms=undecided_delay_ms)
        for name, value in (
            ("grace_s", grace_s),
            ("watch_every_s", watch_every_s),
            ("run_lease_s", run_lease_s),
        ):
            if not 0 < value < window_s:
                raise ValueError(
                    f"{name} must be more than 0 and less than window_s ({window_s}), not {value}"
                )
        self._store = store
        self._window_s = window_s
        self._grace_s = grace_s
        self._watch_every_s = watch_every_s
        self._run_lease_s = run_lease_s
        self._now = now
        self._sender = TickSender(wait)
        self._missed = MissedTicks(
            store=store, window_s=window_s, grace_s=grace_s, every_s=watch_every_s, now=now
        )
        #: By holder. A dict's own operations are atomic: an interrupt that lands in a hook leaves no lock taken.
        self._running: dict[str, RunningTick] = {}
        self._threads: dict[int, PeriodicThread] = {}

    def find_missed(self, broker: Broker) -> int:
        """Look for missed ticks now, and make up for them; workers do so by themselves.

        Returns how many were found, of schedules that no other process looks at.

        Raises:
            StoreUnavailable: the store does not answer; nothing is lost, the next look finds the same.
        """
        return self._missed.find(broker)

    def renew_running(self) -> None:
        """Renew the marks of ticks that run in this process; workers do so by themselves."""
        for tick in list(self._running.values()):
            if self._claim(tick, exclusive=True, owed=True) != "granted":
                emit_counter("cron_marks_lost_total", {"actor": tick.actor})

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        if "periodic" not in actor.options:
            return
        schedule = actor.options["periodic"]
        if not isinstance(schedule, CronSchedule):
            raise InvalidSchedule(
                f"periodic of {actor.actor_name} must be made by pressroom's cron('*/5 * * * *'), "
                f"not {type(schedule).__name__}"
            )
        self._sender.outlast(actor, schedule)

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        schedule = _schedule(broker, message.actor_name)
        scheduled_at = message.options.get(SCHEDULED_AT)
        if schedule is None or scheduled_at is None or TICK in message.options:
            return
        moment = datetime.fromisoformat(scheduled_at)
        tick = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if schedule.is_due(tick):
            message.options[TICK] = tick.replace(second=0, microsecond=0).isoformat()

    def after_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        tick = message.options.get(TICK)
        if tick is None or message.options.get(CLAIMED):
            return
        try:
            self._store.note_sent(message.actor_name, _minute(tick), window_s=self._window_s)
        except Exception as error:  # noqa: BLE001  # it is sent; at worst it is sent again, and claimed once
            self._count("note", error)

    def admit(self, broker: Broker, message: MessageProxy) -> RunningTick | None:
        if TICK not in message.options:
            return None
        tick = RunningTick(message.actor_name, _minute(message.options[TICK]), message.message_id)
        schedule = _schedule(broker, message.actor_name)
        is_new = not message.options.get(CLAIMED)
        owed = not is_new or bool(message.options.get(MADE_UP))
        if is_new and tick.minute < minute_of(self._now()) - self._window_s / 60:
            self._tell(tick, "expired")
            raise Skipped("its tick is older than claims are remembered")
        exclusive = schedule is not None and schedule.overlap == "skip"
        covers = None if owed or schedule is None else self._covers(schedule, message.options[TICK])
        claim = self._claim(tick, exclusive=exclusive, owed=owed, covers=covers)
        self._tell(tick, claim)
        if claim == "busy":
            raise Parked("another tick still runs", delay_ms=BUSY_DELAY_MS, key=f"cron:{tick.actor}")
        if claim != "granted":
            raise Skipped(_SKIPS[claim])
        message.options[CLAIMED] = True
        if not exclusive:
            return None
        self._running[tick.holder] = tick
        return tick

    def settle(self, broker: Broker, message: MessageProxy, held: RunningTick, outcome: Outcome) -> None:
        self._running.pop(held.holder, None)
        self._store.release(held.actor, held.holder)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        if any(type(each).__name__ == "PeriodiqMiddleware" for each in broker.middleware):
            raise MisplacedGuard(
                "remove PeriodiqMiddleware: Cron takes its place, and it drops retried ticks"
            )

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        every_s = self._watch_every_s
        find = partial(self.find_missed, broker)
        watch = Watch(renew=self.renew_running, find=find, failed=self._count, every_s=every_s)
        beat_s = min(self._run_lease_s / RENEWALS_PER_LEASE, every_s)
        self._threads[id(worker)] = PeriodicThread("cron", watch, beat_s, at_once=True)
        self._threads[id(worker)].start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        # After, not before: ticks run until the worker is down, and are kept marked until then.
        thread = self._threads.pop(id(worker), None)
        if thread is not None:
            thread.stop(STOP_TIMEOUT_S)

    def _claim(self, tick: RunningTick, *, exclusive: bool, owed: bool, covers: int | None = None) -> str:
        return self._store.claim(
            tick.actor,
            tick.minute,
            tick.holder,
            window_s=self._window_s,
            exclusive_s=self._run_lease_s if exclusive else None,
            covers=covers,
            owed=owed,
        )

    def _covers(self, schedule: CronSchedule, tick: str) -> int | None:
        """Up to which minute a tick that comes late has the work of others in it."""
        spared = schedule.catch_up_limit if schedule.missed == "catch_up" else 1
        until = self._now() - timedelta(seconds=self._grace_s)
        due = list(schedule.due_between(datetime.fromisoformat(tick), until))
        return minute_of(due[-spared]) if len(due) >= spared else None

    def _tell(self, tick: RunningTick, outcome: str) -> None:
        emit_counter("cron_ticks_total", {"actor": tick.actor, "outcome": outcome})


def _schedule(broker: Broker, actor_name: str) -> CronSchedule | None:
    actor = broker.actors.get(actor_name)
    schedule = actor.options.get("periodic") if actor else None
    return schedule if isinstance(schedule, CronSchedule) else None


def _minute(tick: str) -> int:
    return minute_of(datetime.fromisoformat(tick))
