"""Each habit of Dramatiq's that a guard has to survive, named after it: what the stock middleware does, and ours.

The stock half keeps the tests honest: where Dramatiq mends a habit, it fails and the guard may become simpler.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import dramatiq
import dramatiq.middleware
import pendulum
import periodiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware
from periodiq import PeriodiqMiddleware
from pydantic import BaseModel

from middleware import (
    Callbacks,
    Contracts,
    Cron,
    DeadLetters,
    Guard,
    LogContext,
    MisplacedGuard,
    Outcome,
    Parked,
    Retries,
    cron,
)
from middleware.cron.memory import MemoryCronStore
from middleware.dead_letters.memory import MemoryDeadLetterStore
from tests.middleware.brokers import replace_stack, work

QUICK: dict[str, Any] = {"min_backoff": 1, "max_backoff": 1}


class Runs:
    """A broker with this middleware and one actor that counts its runs."""

    def __init__(self, *middleware: Middleware, fail: bool = False, **options: Any) -> None:
        self.broker = StubBroker()
        replace_stack(self.broker, *middleware)
        self.count = 0

        def fn() -> None:
            self.count += 1
            if fail:
                raise ValueError

        declare = dramatiq.actor(broker=self.broker, actor_name="job", **options)
        self.actor: dramatiq.Actor[[], None] = declare(fn)

    def send_and_work(self) -> int:
        """How often one message ran."""
        self.actor.send()
        work(self.broker, "default")
        return self.count

    @property
    def dead(self) -> int:
        """How many messages were rejected."""
        return len(self.broker.dead_letters)


def test_a_hook_that_raises_anything_but_a_middleware_error_is_logged_and_the_job_runs() -> None:
    """Stock: a dead store means unguarded. Ours: parked until the guard can decide."""

    class Vanilla(Middleware):
        def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            raise ConnectionError("store down")

    class Ours(Guard):
        failures: ClassVar[list[Exception]] = [ConnectionError("store down")]
        runs_when_decided: ClassVar[list[int]] = []

        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            if self.failures:
                raise self.failures.pop()
            self.runs_when_decided.append(ours.count)

    assert Runs(Vanilla(), Retries()).send_and_work() == 1

    ours = Runs(Ours(undecided_delay_ms=1), Retries())
    assert ours.send_and_work() == 1
    assert Ours.runs_when_decided == [0]


def test_errors_in_after_hooks_are_swallowed_and_the_message_is_acked() -> None:
    """Stock: a retry whose enqueue fails is gone. Ours: it is rejected, for the dead letters to keep."""

    class Broken(StubBroker):
        broken = False

        def enqueue(
            self, message: "dramatiq.Message[Any]", *, delay: int | None = None
        ) -> "dramatiq.Message[Any]":
            if self.broken:
                raise ConnectionError("dropped")
            return super().enqueue(message, delay=delay)

    def rejected(retries: Middleware) -> int:
        broker = Broken(middleware=[retries])

        @dramatiq.actor(broker=broker, max_retries=3)
        def job() -> None:
            broker.broken = True
            raise ValueError

        job.send()
        work(broker, "default")
        return len(broker.dead_letters)

    assert rejected(dramatiq.middleware.Retries(**QUICK)) == 0
    assert rejected(Retries(**QUICK, wait=lambda _s: None)) == 1


class ParksTwice(Middleware):
    """Parks each message twice, the only way Dramatiq lets a hook do it."""

    def __init__(self) -> None:
        self.parks = 2

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if self.parks:
            self.parks -= 1
            raise Parked("wait", delay_ms=1)


def test_two_parks_with_one_retry_dead_letter_a_job_that_never_ran() -> None:
    """Stock: a park spends an attempt. Ours: it does not."""
    vanilla = Runs(ParksTwice(), dramatiq.middleware.Retries(**QUICK), max_retries=1)
    assert (vanilla.send_and_work(), vanilla.dead) == (0, 1)

    ours = Runs(ParksTwice(), Retries(**QUICK), max_retries=1)
    assert (ours.send_and_work(), ours.dead) == (1, 0)


def test_after_hooks_run_for_middleware_whose_before_never_ran() -> None:
    """Stock: it releases what it never took. Ours: it is told only of what it let pass."""
    reported: list[str] = []

    class Stops(Middleware):
        def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            raise dramatiq.middleware.SkipMessage

    class Vanilla(Middleware):
        def after_skip_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            reported.append("stock")

    class Ours(Guard[str]):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> str:
            return "taken"

        def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
            reported.append("ours")

    Runs(Stops(), Vanilla(), Ours(), Retries()).send_and_work()

    assert reported == ["stock"]


def test_before_enqueue_runs_again_for_retries_and_for_delayed_messages_that_come_due() -> None:
    """Stock: it would charge each time, and a refusal would kill the delay consumer. Ours: asked once."""
    asked: list[str] = []

    class Vanilla(Middleware):
        def before_enqueue(
            self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None
        ) -> None:
            asked.append("stock")

    class Ours(Guard):
        def check(self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None) -> None:
            asked.append("ours")

    Runs(Vanilla(), Ours(), Retries(**QUICK), fail=True, max_retries=2).send_and_work()

    assert asked.count("stock") == 5  # sent, and two retries of which each is enqueued, then promoted
    assert asked.count("ours") == 1


def test_on_failure_fires_after_each_failed_attempt() -> None:
    """Stock: and after each park. Ours: once, when the message has failed for good."""

    def reported(callbacks: Middleware, retries: Middleware) -> int:
        world = Runs(callbacks, retries, fail=True, max_retries=2)
        calls: list[object] = []

        @dramatiq.actor(broker=world.broker, queue_name=f"q{uuid4().hex}")
        def tell(_message: object, _error: object) -> None:
            calls.append(1)

        world.actor.send_with_options(on_failure=tell)
        work(world.broker, "default")
        return int(world.broker.queues[tell.queue_name].qsize()) + len(calls)

    assert reported(dramatiq.middleware.Callbacks(), dramatiq.middleware.Retries(**QUICK)) == 3
    assert reported(Callbacks(), Retries(**QUICK)) == 1


def test_retries_store_a_traceback_of_thirty_frames_in_the_message() -> None:
    """Stock: with whatever the error's text quotes. Ours: class, category and fingerprint."""

    def kept(retries: Middleware) -> dict[str, Any]:
        world = Runs(retries, max_retries=0)
        proxy = MessageProxy(world.actor.send())
        try:
            int("hunter2")
        except ValueError as error:
            world.broker.emit_after("process_message", proxy, exception=error)
        return proxy.options

    assert "hunter2" in str(kept(dramatiq.middleware.Retries(**QUICK)))
    assert "hunter2" not in str(kept(Retries(**QUICK)))


class Photo(BaseModel):
    """A contract."""

    image_id: int


def test_a_model_left_in_args_breaks_the_encoder() -> None:
    """Stock: `send` raises a TypeError about JSON. Ours: plain JSON in the message, the model in the function."""

    def sent(*middleware: Middleware) -> "dramatiq.Message[Any]":
        broker = StubBroker(middleware=list(middleware))

        @dramatiq.actor(broker=broker)
        def develop(job: Photo) -> None: ...

        return develop.send(Photo(image_id=1))

    with pytest.raises(TypeError, match="not JSON serializable"):
        sent()
    assert sent(Contracts()).args == ({"image_id": 1},)


def test_an_order_check_in_after_process_boot_is_swallowed() -> None:
    """Stock: the worker runs all the same. Ours: checked where a `MiddlewareError` stops it."""

    class Vanilla(Middleware):
        def after_process_boot(self, broker: dramatiq.Broker) -> None:
            raise MisplacedGuard("never heard")

    assert Runs(Vanilla(), Retries()).send_and_work() == 1

    wrong = Runs(Retries(), Contracts())
    with pytest.raises(MisplacedGuard):
        dramatiq.Worker(wrong.broker).start()


def test_unknown_actors_are_nacked_without_any_process_hook() -> None:
    """Stock: nothing keeps them but a week of Redis. Ours: `DeadLetters` acts on the rejection, which is told."""

    class Published(Middleware):
        def __init__(self) -> None:
            self.hooks: list[str] = []

        def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            self.hooks.append("process")

        def before_nack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            self.hooks.append("nack")

    reported, store = Published(), MemoryDeadLetterStore()
    world = Runs(reported, DeadLetters(store), Retries())
    world.broker.enqueue(world.actor.message().copy(actor_name="removed"))
    work(world.broker, "default")

    assert reported.hooks == ["nack"]
    (letter,) = store.of_every_org().list()
    assert (letter.actor, letter.category) == ("removed", "version")


def test_the_worker_logs_full_arguments_at_warning_for_every_skipped_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Stock: with whatever secret they hold. Ours: the message's id and actor."""

    def logged(*middleware: Middleware) -> str:
        class Skips(Middleware):
            def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
                raise dramatiq.middleware.SkipMessage

        broker = StubBroker(middleware=[*middleware, Skips()])

        @dramatiq.actor(broker=broker)
        def job(token: str) -> None: ...

        caplog.clear()
        with caplog.at_level("WARNING"):
            job.send("hunter2")
            work(broker, "default")
        return caplog.text

    assert "hunter2" in logged()
    assert "hunter2" not in logged(LogContext())


def test_a_tick_that_was_retried_or_parked_is_dropped_after_thirty_seconds() -> None:
    """Stock: `PeriodiqMiddleware` skips it. Ours: its own retry goes on."""
    late = datetime.now(UTC) - timedelta(minutes=5)

    def runs(middleware: Middleware) -> int:
        world = Runs(middleware, Retries(), periodic=cron("* * * * *"))
        world.actor.send_with_options(scheduled_at=late.replace(second=0, microsecond=0).isoformat())
        work(world.broker, "default")
        return world.count

    assert runs(PeriodiqMiddleware(skip_delay=30)) == 0
    assert runs(Cron(MemoryCronStore())) == 1


def test_periodiq_never_fires_on_sundays_for_zero() -> None:
    """Stock: weekday 0 is never due. Ours: it is Sunday, as everywhere."""
    monday = datetime(2026, 1, 5, tzinfo=UTC)

    def due(schedule: Any) -> set[int]:
        return {
            (monday + timedelta(days=day)).isoweekday()
            for day in range(7)
            if schedule.validate(pendulum.instance(monday + timedelta(days=day)))
        }

    assert due(periodiq.cron("0 0 * * 0")) == set()
    assert due(cron("0 0 * * 0")) == {7}
