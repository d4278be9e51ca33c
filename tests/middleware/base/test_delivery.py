"""What a guard takes for an attempt it gets back when the attempt is over, whatever happens in between."""

import threading
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from middleware import Deadlines, Guard, Metrics, Outcome, Parked, Retries
from tests.middleware.brokers import replace_stack, work


@dataclass(frozen=True)
class Desk:
    """What the guard below takes."""

    number: int


class Desks(Guard[Desk]):
    """Gives each attempt a desk of its own."""

    def __init__(self, *, free: int | None = None) -> None:
        super().__init__()
        self.free = free
        self.taken: list[Desk] = []
        self.returned: list[tuple[Desk, Outcome]] = []

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> Desk | None:
        if self.free is not None and len(self.taken) >= self.free:
            return None
        self.taken.append(Desk(len(self.taken)))
        return self.taken[-1]

    def settle(self, broker: dramatiq.Broker, message: MessageProxy, held: Desk, outcome: Outcome) -> None:
        self.returned.append((held, outcome))

    @property
    def given_back(self) -> list[int]:
        """The numbers of the desks that were returned, in that order."""
        return [desk.number for desk, _ in self.returned]


@pytest.fixture
def stub() -> StubBroker:
    """A broker without middleware, whose hooks a test calls."""
    return StubBroker(middleware=[])


def test_what_admit_returned_is_what_settle_gets(bare_broker: dramatiq.Broker) -> None:
    """Attempt by attempt, in every thread of a worker."""
    desks = Desks()
    replace_stack(bare_broker, desks, Retries(min_backoff=1, max_backoff=1))
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=1)
    def job(number: int) -> None:
        if number % 2:
            raise ValueError

    for number in range(10):
        job.send(number)
    work(bare_broker, queue, threads=4)

    assert len(desks.taken) == 15
    assert sorted(desks.given_back) == list(range(15))
    assert sum(outcome.succeeded for _, outcome in desks.returned) == 5


def test_a_guard_that_took_nothing_has_nothing_to_settle(stub: StubBroker) -> None:
    """None says so; how the attempt ended is for observers."""
    desks = Desks(free=1)

    for _ in range(2):
        message = _proxy()
        desks.before_process_message(stub, message)
        desks.after_process_message(stub, message)

    assert desks.given_back == [0]


def test_an_attempt_that_is_interrupted_twice_is_settled_once(stub: StubBroker) -> None:
    """Dramatiq runs the after-hooks again when an interrupt lands in one of them; the first word counts."""
    desks, message = Desks(), _proxy()
    desks.before_process_message(stub, message)

    desks.after_process_message(stub, message, result=1)
    desks.after_process_message(stub, message, exception=Parked("shutdown", delay_ms=0))
    desks.after_skip_message(stub, message)

    assert [(desk.number, outcome.result) for desk, outcome in desks.returned] == [(0, 1)]


def test_a_delivery_within_a_delivery_has_its_own(stub: StubBroker) -> None:
    """A job that makes a worker of its thread for a moment loses nothing that was taken for it."""
    desks, outer, inner = Desks(), _proxy(), _proxy()

    desks.before_process_message(stub, outer)
    desks.before_process_message(stub, inner)
    desks.after_process_message(stub, inner)
    desks.after_process_message(stub, outer)

    assert desks.given_back == [1, 0]


def test_two_deliveries_of_one_message_have_their_own(stub: StubBroker) -> None:
    """Where a broker delivers again what still runs, as after a heartbeat that was late."""
    desks, message = Desks(), _message()
    first, second = MessageProxy(message), MessageProxy(message)

    desks.before_process_message(stub, first)
    _in_another_thread(lambda: desks.before_process_message(stub, second))
    desks.after_process_message(stub, first)

    assert desks.given_back == [0]


def test_a_proxy_that_is_processed_again_has_nothing_of_the_time_before(stub: StubBroker) -> None:
    """What nobody settled is gone with its attempt."""
    desks, message = Desks(free=1), _proxy()

    desks.before_process_message(stub, message)
    desks.before_process_message(stub, message)
    desks.after_process_message(stub, message)

    assert desks.given_back == []


def test_whoever_speaks_for_a_stuck_job_gives_nothing_back(stub: StubBroker) -> None:
    """A process that is replaced ends the message from another thread, while the job still sits at its desk."""
    desks, message = Desks(), _proxy()
    desks.before_process_message(stub, message)

    _in_another_thread(lambda: desks.after_process_message(stub, message, exception=TimeoutError()))
    assert desks.given_back == []

    desks.after_process_message(stub, message)
    assert desks.given_back == [0]


def test_two_guards_of_one_kind_have_their_own(stub: StubBroker) -> None:
    """What is held is a guard's, not a class's."""
    first, second, message = Desks(), Desks(), _proxy()
    second.taken.append(Desk(0))

    for guard in (first, second):
        guard.before_process_message(stub, message)
    for guard in (second, first):
        guard.after_process_message(stub, message)

    assert (first.given_back, second.given_back) == ([0], [1])


def test_guards_leave_one_thing_on_a_delivery(stub: StubBroker) -> None:
    """Whatever they are, and nothing in the message but its options."""
    message = _proxy()
    before = set(vars(message)) | {"options"}
    guards: list[Guard[Any]] = [Metrics(sample_every_s=None), Desks(), Deadlines()]
    dramatiq.actor(broker=stub, actor_name="job")(print)

    for guard in guards:
        guard.before_process_message(stub, message)
    for guard in reversed(guards):
        guard.after_process_message(stub, message)
    for guard in guards:
        guard.before_ack(stub, message)

    assert len(set(vars(message)) - before) == 1


def test_types_prove_that_settle_gets_what_admit_returned() -> None:
    """The type checker refuses guards that mix it up: it would report these comments if it did not."""

    class TakesNothing(Guard):
        def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> Desk:  # type: ignore[override]
            return Desk(0)

    class TakesAnother(Guard[Desk]):
        def settle(  # type: ignore[override]
            self, broker: dramatiq.Broker, message: MessageProxy, held: str, outcome: Outcome
        ) -> None:
            """Gets a desk, and believes it is a text."""

    assert issubclass(TakesNothing, Guard)
    assert issubclass(TakesAnother, Guard)


def _message() -> "dramatiq.Message[Any]":
    return dramatiq.Message(queue_name="q", actor_name="job", args=(), kwargs={}, options={})


def _proxy() -> MessageProxy:
    return MessageProxy(_message())


def _in_another_thread(call: Any) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
