"""The base of the guards: decisions that hold, whatever Dramatiq's hooks do with errors."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, SkipMessage

from middleware import Callbacks, DuplicateMessage, Guard, MisplacedGuard, Outcome, Parked, Retries, Skipped
from middleware.contracts.guard import Contracts
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.recorded_metrics import Emitted, handling


@dataclass
class Seen:
    """What a scripted guard was asked and told."""

    checks: list[str] = field(default_factory=list)
    admits: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


class Scripted(Guard[str]):
    """Raises what the script says, call by call, and else takes the message's id."""

    def __init__(self, *script: Exception | None, on_check: Exception | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.script = list(script)
        self.on_check = on_check
        self.seen = Seen()

    def check(self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None) -> None:
        self.seen.checks.append(message.message_id)
        if self.on_check:
            raise self.on_check

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> str:
        self.seen.admits.append(message.message_id)
        error = self.script.pop(0) if self.script else None
        if error:
            raise error
        return message.message_id

    def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
        assert held == message.message_id
        self.seen.outcomes.append(outcome)


class Declared:
    """An actor that counts its runs."""

    def __init__(self, broker: dramatiq.Broker, *, fail: Exception | None = None, **options: Any) -> None:
        self.runs = 0
        self.queue = f"q{uuid4().hex}"

        def fn() -> None:
            self.runs += 1
            if fail:
                raise fail

        declare = dramatiq.actor(broker=broker, queue_name=self.queue, actor_name="job", **options)
        self.actor: dramatiq.Actor[[], None] = declare(fn)


def test_an_error_of_the_guards_own_parks_by_default(bare_broker: dramatiq.Broker) -> None:
    """A bug or a dead store never lets a job run unguarded, and costs it no attempt."""
    guard = Scripted(RuntimeError("bug"), RuntimeError("bug"), undecided_delay_ms=1)
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker, max_retries=0)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 1
    assert len(guard.seen.admits) == 3


def test_an_error_of_the_guards_own_allows_when_reported_to(bare_broker: dramatiq.Broker) -> None:
    """Whoever prefers running unguarded says so."""
    guard = Scripted(RuntimeError("bug"), on_error="allow")
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    assert (job.runs, len(guard.seen.admits), guard.seen.outcomes) == (1, 1, [])


def test_a_guard_is_asked_once_at_send_however_often_the_message_is_enqueued(
    bare_broker: dramatiq.Broker,
) -> None:
    """Retries, parks and delayed messages that come due are in already."""
    guard = Scripted(Parked("wait", delay_ms=1))
    replace_stack(bare_broker, guard, Retries(min_backoff=1, max_backoff=1))
    job = Declared(bare_broker, fail=ValueError(), max_retries=2)

    job.actor.send_with_options(delay=1)
    work(bare_broker, job.queue)

    assert job.runs == 3
    assert len(guard.seen.checks) == 1


def test_two_messages_are_two_questions(bare_broker: dramatiq.Broker) -> None:
    """Each message is asked about, also one after the other in one thread."""
    guard = Scripted()
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)

    ids = [job.actor.send().message_id for _ in range(3)]

    assert guard.seen.checks == ids


def test_every_guard_is_asked_about_every_message(bare_broker: dramatiq.Broker) -> None:
    """The first guard's answer does not spare the second the question."""
    first, second = Scripted(), Scripted()
    replace_stack(bare_broker, first, second, Retries())
    job = Declared(bare_broker)

    job.actor.send()

    assert len(first.seen.checks) == len(second.seen.checks) == 1


def test_a_bug_in_a_check_lets_the_message_in_to_be_asked_again(bare_broker: dramatiq.Broker) -> None:
    """A caller cannot be parked; before it runs the guard is asked anyway."""
    guard = Scripted(on_check=RuntimeError("bug"))
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)

    job.actor.send()

    assert len(stored(bare_broker, job.queue)) == 1
    work(bare_broker, job.queue)
    assert (job.runs, len(guard.seen.admits)) == (1, 1)


def test_what_a_guard_refuses_at_send_reaches_the_caller(bare_broker: dramatiq.Broker) -> None:
    """And nothing is enqueued."""
    guard = Scripted(on_check=DuplicateMessage("job", "another"))
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)

    with pytest.raises(DuplicateMessage):
        job.actor.send()

    assert stored(bare_broker, job.queue) == []


def test_a_guard_is_asked_once_however_often_a_broker_runs_the_hook(bare_broker: dramatiq.Broker) -> None:
    """As one does that enqueues again over a new connection."""
    first, second = Scripted(), Scripted()
    replace_stack(bare_broker, first, second, Retries())
    message = Declared(bare_broker).actor.message()

    for _ in range(2):
        bare_broker.emit_before("enqueue", message, None)

    assert first.seen.checks == second.seen.checks == [message.message_id]


def test_a_message_that_was_rejected_before_is_not_decided_on(bare_broker: dramatiq.Broker) -> None:
    """It does not run, so nothing is taken for it."""

    class Condemning(Middleware):
        def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
            message.fail()

    guard = Scripted()
    replace_stack(bare_broker, Condemning(), guard, Retries())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    assert (guard.seen.admits, guard.seen.outcomes, job.runs) == ([], [], 0)


def test_dramatiqs_own_way_to_skip_is_a_decision_too(bare_broker: dramatiq.Broker) -> None:
    """Not an error of the guard's that parks the message."""
    guard = Scripted(SkipMessage("enough"))
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    assert (len(guard.seen.admits), job.runs) == (1, 0)


def test_errors_of_a_guards_own_are_counted_by_decision(bare_broker: dramatiq.Broker) -> None:
    """Under its name: what fails unseen guards nothing."""

    class Broken(Scripted):
        def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
            raise RuntimeError("bug")

    guard = Broken(RuntimeError("bug"), on_check=RuntimeError("bug"), undecided_delay_ms=1)
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker)
    emitted = Emitted()

    with handling(emitted):
        job.actor.send()
        work(bare_broker, job.queue)

    assert emitted.labels_of("guard_errors_total") == [
        {"guard": "Broken", "decision": decision} for decision in ("check", "admit", "settle")
    ]


@pytest.mark.parametrize(
    ("fail", "succeeded"), [(None, True), (ValueError("x"), False)], ids=["success", "failure"]
)
def test_a_guard_is_reported_how_the_attempt_ended(
    bare_broker: dramatiq.Broker, fail: Exception | None, succeeded: bool
) -> None:
    """With the result or the exception."""
    guard = Scripted()
    replace_stack(bare_broker, guard, Retries())
    job = Declared(bare_broker, fail=fail, max_retries=0)

    job.actor.send()
    work(bare_broker, job.queue)

    (outcome,) = guard.seen.outcomes
    assert (outcome.succeeded, outcome.exception) == (succeeded, fail)


@pytest.mark.parametrize("decision", [Skipped("enough"), Parked("wait", delay_ms=1)], ids=["skip", "park"])
def test_what_was_taken_is_given_back_when_a_later_guard_stops_the_message(
    bare_broker: dramatiq.Broker, decision: Exception
) -> None:
    """The outer guard is told; the one that stopped it, and those never asked, are not."""
    outer, stopper, inner = Scripted(), Scripted(decision), Scripted()
    replace_stack(bare_broker, outer, stopper, inner, Retries())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    first = outer.seen.outcomes[0]
    assert (first.skipped, first.parked) == (isinstance(decision, Skipped), isinstance(decision, Parked))
    assert len(stopper.seen.outcomes) == len(inner.seen.outcomes) == job.runs


def test_a_guard_is_not_informed_of_attempts_it_was_never_asked_about(bare_broker: dramatiq.Broker) -> None:
    """Dramatiq runs after-hooks for middleware whose before-hook never ran."""
    stopper, inner = Scripted(Skipped("enough")), Scripted()
    replace_stack(bare_broker, stopper, inner, Retries())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    assert (inner.seen.admits, inner.seen.outcomes, job.runs) == ([], [], 0)


def test_an_error_while_settling_is_logged_and_does_no_harm(
    bare_broker: dramatiq.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """By class; its text may quote what it was given."""

    class Clumsy(Guard[str]):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> str:
            return "taken"

        def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
            raise RuntimeError("hunter2")

    replace_stack(bare_broker, Clumsy(), Retries())
    job = Declared(bare_broker)

    job.actor.send()
    with caplog.at_level("WARNING"):
        work(bare_broker, job.queue)

    assert job.runs == 1
    assert "Guard Clumsy could not settle: RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_guard_in_the_wrong_place_stops_the_worker_and_names_the_order(
    bare_broker: dramatiq.Broker,
) -> None:
    """The mistake is found at boot, not by a job that slips through."""
    replace_stack(bare_broker, Retries(), Callbacks(), Contracts())
    worker = dramatiq.Worker(bare_broker, worker_timeout=10)

    with pytest.raises(MisplacedGuard, match=r"the order that works here is: Contracts, Callbacks, Retries"):
        worker.start()


def test_a_single_guard_beside_dramatiqs_own_middleware_boots(bare_broker: dramatiq.Broker) -> None:
    """A stranger's `add_middleware` needs no order."""
    bare_broker.add_middleware(Contracts())
    job = Declared(bare_broker)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 1


def test_parks_beside_dramatiqs_own_retries_cost_no_attempt(bare_broker: dramatiq.Broker) -> None:
    """Five parks of a job with one retry leave it its retry."""
    guard = Scripted(*[Parked("wait", delay_ms=1)] * 5)
    bare_broker.add_middleware(guard)
    job = Declared(bare_broker, fail=ValueError(), max_retries=1, min_backoff=1, max_backoff=1)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 2


def test_a_park_gives_back_its_own_attempt_and_no_other(bare_broker: dramatiq.Broker) -> None:
    """What a failure was charged before it stays charged."""
    bare_broker.add_middleware(Scripted(None, Parked("wait", delay_ms=1)))
    job = Declared(bare_broker, fail=ValueError(), max_retries=1, min_backoff=1, max_backoff=1)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 2


def test_two_guards_beside_dramatiqs_own_retries_give_one_attempt_back(bare_broker: dramatiq.Broker) -> None:
    """However many guards see a park, it is one."""
    bare_broker.add_middleware(Scripted(*[Parked("wait", delay_ms=1)] * 3))
    bare_broker.add_middleware(Recording())
    job = Declared(bare_broker, fail=ValueError(), max_retries=1, min_backoff=1, max_backoff=1)

    job.actor.send()
    work(bare_broker, job.queue)

    assert job.runs == 2


class Recording(Guard):
    """Lets everything pass."""


def test_threads_do_not_mix_up_what_they_have_in_flight(bare_broker: dramatiq.Broker) -> None:
    """Each attempt is settled once, with its own outcome."""
    reported: list[tuple[str, object]] = []
    lock = threading.Lock()

    class Careful(Guard[str]):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> str:
            return message.message_id

        def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome) -> None:
            with lock:
                reported.append((held, outcome.exception))

    replace_stack(bare_broker, Careful(), Retries())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=0)
    def odd(number: int) -> None:
        if number % 2:
            raise ValueError(number)

    sent = [odd.send(number).message_id for number in range(40)]
    work(bare_broker, queue, threads=8)

    assert sorted(message_id for message_id, _ in reported) == sorted(sent)
    by_id = dict(reported)
    assert [isinstance(by_id[message_id], ValueError) for message_id in sent] == [False, True] * 20


@pytest.mark.parametrize(
    "make",
    [lambda: Guard(on_error="ignore"), lambda: Guard(undecided_delay_ms=0)],  # type: ignore[arg-type]
)
def test_nonsense_is_refused_when_the_guard_is_made(make: Callable[[], Guard]) -> None:
    """With the parameter's name."""
    with pytest.raises(ValueError, match=r"on_error|undecided_delay_ms"):
        make()
