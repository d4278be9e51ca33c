"""Interrupts, at every moment there is, on Dramatiq's stub broker and on a real server."""

import queue
import random
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware
from dramatiq.threading import Interrupt
from pydantic import BaseModel

from middleware import Contracts, Guard
from middleware.base.interrupts import Window, make_interruptible, window_of
from tests.middleware.brokers import replace_stack, work

#: How many interrupts are really sent.
SHOTS = 1_000

#: How many messages are sent at a time.
SALVO = 500


class Hit(Interrupt):
    """What a test interrupts with."""


class Outcomes(Middleware):
    """Remembers what attempts raised."""

    def __init__(self) -> None:
        self.raised: list[BaseException | None] = []

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        self.raised.append(exception)


class Target(threading.local):
    """The window of a thread's attempt, and the event that says that it is shot at."""

    window: Window
    fire: threading.Event


class Targets(Guard):
    """Hands the window of every attempt to whoever shoots."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = Target()
        self.shown: queue.SimpleQueue[tuple[Window, threading.Event] | None] = queue.SimpleQueue()

    @property
    def actor_options(self) -> set[str]:
        return {"throws"}

    def before_declare_actor(self, broker: dramatiq.Broker, actor: "dramatiq.Actor[..., Any]") -> None:
        make_interruptible(actor)

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.mine.window, self.mine.fire = window_of(message), threading.Event()
        if message.actor_name == "short" and message.args[0] % 3 == 0:
            self.wait_for_fire()

    def wait_for_fire(self) -> None:
        """Until somebody is about to shoot at this thread."""
        self.shown.put((self.mine.window, self.mine.fire))
        self.mine.fire.wait()


class Bystander(Middleware):
    """Takes its time in every hook, and remembers what hit it there."""

    def __init__(self) -> None:
        self.hits: list[str] = []

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self._dawdle("before_process_message")

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        self._dawdle("after_process_message")

    def before_ack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self._dawdle("before_ack")

    def after_ack(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self._dawdle("after_ack")

    def _dawdle(self, hook: str) -> None:
        try:
            spin(100)
        except Interrupt:
            self.hits.append(hook)


def spin(turns: int) -> None:
    """Run some Python, where an interrupt may land."""
    for _ in range(turns):
        pass


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns a hundred times as often."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_a_thousand_interrupts_hit_the_function_and_nothing_else(bare_broker: dramatiq.Broker) -> None:
    """Whenever they are sent around short jobs, no hook is hit, no worker thread dies and no message is lost."""
    targets, bystander = Targets(), Bystander()
    replace_stack(bare_broker, bystander, targets)
    begun: list[int] = []
    ended: list[int] = []
    sent: list[int] = []

    # `throws` keeps a thousand stacks out of the log.
    @dramatiq.actor(broker=bare_broker, queue_name=f"q{uuid4().hex}", throws=Hit)
    def short(number: int) -> None:
        begun.append(number)
        if number % 3:
            targets.wait_for_fire()
        spin(number % 50)
        ended.append(number)

    def shoot() -> None:
        dice = random.Random(7)
        while (target := targets.shown.get()) is not None:
            window, fire = target
            fire.set()
            spin(int(10 ** dice.uniform(2, 4.5)))
            if window.interrupt(Hit):
                sent.append(1)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    worker = dramatiq.Worker(bare_broker, worker_timeout=50, worker_threads=4)
    worker.start()
    try:
        number = 0
        while len(sent) < SHOTS:
            for _ in range(SALVO):
                short.send(number)
                number += 1
            bare_broker.join(short.queue_name, timeout=30_000)
            worker.join()
        alive = [thread.is_alive() for thread in worker.workers]
    finally:
        targets.shown.put(None)
        shooter.join()
        worker.stop()

    assert alive == [True] * 4
    assert bystander.hits == []
    # Some came before the function, some within, some after it.
    assert 0 < len(ended) < len(begun) < number


def test_an_interrupt_before_the_function_is_raised_when_it_begins() -> None:
    """One that comes between a guard's decision and the function is not forgotten, and the function does not run."""
    window = Window()

    assert window.interrupt(Hit)

    with pytest.raises(Hit):
        window.open()


def test_an_attempt_is_interrupted_at_most_once() -> None:
    """The first reason wins."""
    window = Window()

    assert window.interrupt(Hit)
    assert not window.interrupt(Hit)


def test_closing_takes_back_an_interrupt_that_is_on_its_way() -> None:
    """What was sent and not yet delivered is never delivered."""
    window, opened, released = Window(), threading.Event(), threading.Event()
    outcome: list[str] = []

    def job() -> None:
        window.open()
        opened.set()
        try:
            # In C code, where nothing is delivered.
            released.wait()
            spin(1_000)
            outcome.append("untouched")
        except Hit:
            outcome.append("hit")

    thread = threading.Thread(target=job)
    thread.start()
    opened.wait()
    assert window.interrupt(Hit)
    window.close()
    released.set()
    thread.join()

    assert outcome == ["untouched"]


def test_calls_are_not_held_up_once_an_interrupt_was_taken_back() -> None:
    """Before 3.13, CPython looks for it at every call from then on, and none that is traced ever begins."""
    window = Window()
    window.open()
    with pytest.raises(Hit):  # noqa: PT012  # where it is raised is up to the interpreter
        window.interrupt(Hit)
        spin(1_000)
    window.close()
    over = threading.Event()

    def trace() -> None:
        sys.settrace(lambda *_: None)
        spin(1)
        sys.settrace(None)
        over.set()

    threading.Thread(target=trace, daemon=True).start()

    assert over.wait(10)


def test_an_interrupt_that_lands_in_the_closing_does_not_change_how_the_job_ended() -> None:
    """The function returned, so the attempt succeeded."""
    broker = StubBroker(middleware=[])
    targets, outcomes = Targets(), Outcomes()
    replace_stack(broker, targets, outcomes)
    ended, seen = threading.Event(), queue.SimpleQueue[tuple[Window, int]]()

    class Closing(type):
        """Is looked at just before it is sent, when the lock that closing needs is held."""

        @property
        def __name__(cls) -> str:  # type: ignore[override]  # only read
            ended.set()
            while sys._current_frames()[job_thread].f_code.co_name != "close":
                spin(100)
            return "Late"

    class Late(Hit, metaclass=Closing):
        """What is sent while the thread waits to close."""

    @dramatiq.actor(broker=broker)
    def prompt() -> None:
        seen.put((targets.mine.window, threading.get_ident()))
        ended.wait()

    prompt.send()
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    window, job_thread = seen.get()
    assert window.interrupt(Late)
    broker.join("default", timeout=10_000)
    worker.stop()

    assert outcomes.raised == [None]


def test_nothing_is_sent_when_the_function_is_over() -> None:
    """A closed window stays closed."""
    window = Window()
    window.open()
    window.close()

    assert not window.interrupt(Hit)


def test_only_a_running_function_can_be_given_up() -> None:
    """Before and after it there is nothing to abandon."""
    window = Window()
    assert not window.abandon()
    window.open()
    window.close()
    assert not window.abandon()


class Page(BaseModel):
    """A contract."""

    number: int


@pytest.mark.parametrize("outer", ["contracts", "targets"])
def test_it_makes_no_difference_which_guard_wraps_first(outer: str) -> None:
    """Contracts and interrupts compose in either order, once each."""
    broker = StubBroker(middleware=[])
    stack: list[Middleware] = [Contracts(), Targets()]
    replace_stack(broker, *(stack if outer == "contracts" else reversed(stack)))
    got: list[Page] = []

    @dramatiq.actor(broker=broker)
    def read(page: Page) -> None:
        got.append(page)

    wrapped = read.fn
    make_interruptible(read)
    assert read.fn is wrapped
    read.send(Page(number=1))
    work(broker, "default")
    assert got == [Page(number=1)]


def test_an_actor_called_by_another_ones_function_runs_in_its_window() -> None:
    """The called one neither opens nor closes anything: the caller can still be interrupted afterwards."""
    broker = StubBroker(middleware=[])
    targets = Targets()
    replace_stack(broker, targets)
    seen: list[str] = []

    @dramatiq.actor(broker=broker)
    def inner() -> None:
        seen.append("inner")

    @dramatiq.actor(broker=broker)
    def outer() -> None:
        inner()
        try:
            targets.mine.window.interrupt(Hit)
            spin(1_000)
        except Hit:
            seen.append("interrupted")

    outer.send()
    work(broker, "default")

    assert seen == ["inner", "interrupted"]
