"""An interrupt (a time limit, a shutdown) that reaches a thread inside an ack costs no message and no thread."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from dramatiq.middleware.time_limit import TimeLimitExceeded
from dramatiq.threading import raise_thread_exception

from tests.broker.promises.scenario import Stage

#: So many lines of an ack, at least, are hit.
LINES = 12

Trace = Callable[[FrameType, str, Any], Any]


class Interrupting(Middleware):
    """Raises what a time limit raises, in the very thread, when its ack comes to a line: another line each time."""

    def __init__(self, shots: int) -> None:
        #: The lines that were hit.
        self.hit: list[str] = []
        self._aims = list(reversed(range(shots)))

    def before_ack(self, broker: dramatiq.Broker, message: Any) -> None:
        if message.actor_name == "doomed" and self._aims:
            sys.settrace(self._tracing(self._aims.pop()))

    def after_ack(self, broker: dramatiq.Broker, message: Any) -> None:
        sys.settrace(None)

    def _tracing(self, row: int) -> Trace:
        lines = iter(range(1_000_000))
        within: list[FrameType] = []

        def trace(frame: FrameType, event: str, _: Any) -> Trace | None:
            if not within and frame.f_code.co_name != "ack":
                return None
            if not within:
                within.append(frame)
            if event == "line" and next(lines) == row:
                self.hit.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                raise_thread_exception(threading.get_ident(), TimeLimitExceeded)  # type: ignore[no-untyped-call]
            return trace

        return trace


@pytest.fixture(autouse=True)
def no_interrupt_looked_for() -> None:
    """An interrupt that was taken back has CPython up to 3.12 look for it for ever; under a tracer no call begins then.

    Dramatiq takes some back; one that is delivered ends the looking.
    """
    begun = threading.Event()

    def wait_for_it() -> None:
        with suppress(TimeLimitExceeded):
            begun.set()
            while True:
                pass

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    begun.wait()
    raise_thread_exception(thread.ident, TimeLimitExceeded)  # type: ignore[no-untyped-call]
    thread.join()


@pytest.fixture(autouse=True)
def no_garbage_collected() -> Iterator[None]:
    """What is raised in its callbacks is ignored by Python: such a shot hits nobody."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """What threads ended with: Dramatiq lets an interrupt end its worker thread."""
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda reported: seen.append(reported.exc_type))
    return seen


def test_vanilla_keeps_it_until_the_process_ends(vanilla: Stage, ended: list[type[BaseException]]) -> None:
    """The message is done and not acknowledged: nobody may have it while the process lives, which has a thread less."""
    ran, worker = _ran(vanilla, 1)

    assert _living(worker) == 1
    assert ended == [TimeLimitExceeded]
    assert ran == ["doomed", "later"]
    assert vanilla.unfinished() == vanilla.held() == 1
    other = vanilla.broker(heartbeat_timeout_ms=60_000)
    assert isinstance(other, RedisBroker)
    assert other.do_fetch("default", 1) == []


def test_ours_finds_it(ours: Stage, ended: list[type[BaseException]]) -> None:
    """Wherever it lands: a look each second tells the end, or has the job run again, and starts another thread."""
    ran, worker = _ran(ours, LINES)

    ours.await_finished()
    ours.wait_until(lambda: _living(worker) == LINES + 1)
    assert ended == [TimeLimitExceeded] * LINES
    assert LINES <= ran.count("doomed") < 2 * LINES


def _living(worker: dramatiq.Worker) -> int:
    return sum(thread.is_alive() for thread in worker.workers)


def _ran(stage: Stage, shots: int) -> tuple[list[str], dramatiq.Worker]:
    """The jobs that run; one after the other, each in a thread that is hit, and the last in one that is not."""
    broker = stage.broker()
    interrupting = Interrupting(shots)
    broker.add_middleware(interrupting)
    ran: list[str] = []
    doomed = dramatiq.actor(broker=broker, actor_name="doomed")(lambda: ran.append("doomed"))
    later = dramatiq.actor(broker=broker, actor_name="later")(lambda: ran.append("later"))
    worker = stage.worker(broker, threads=shots + 1)
    for shot in range(shots):
        doomed.send()
        stage.wait_until(lambda shot=shot: len(interrupting.hit) > shot)  # type: ignore[misc]
    later.send()
    stage.wait_until(lambda: "later" in ran)
    assert len(set(interrupting.hit)) == shots
    return ran, worker
