"""Where pybreaker's class and ours differ: each test says how."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, suppress
from typing import Any, cast

import pybreaker
import pytest
from dramatiq import Retry

from tests.middleware.circuit_breakers.subjects import (
    Recorded,
    Refused,
    Subject,
    boom,
    fail,
    in_threads,
    succeed,
)

#: Without pybreaker's own.
OURS = ["memory", "redis"]


def test_an_excluded_error_leaves_the_count_as_it_is(subject: Subject) -> None:
    """pybreaker takes it for a success: four failures are forgotten, and listeners see a success."""
    heard = Recorded()
    breaker = subject.make(fail_max=5, exclude=[Refused], listeners=[heard])
    fail(breaker, 4)
    heard.events.clear()

    fail(breaker, 1, Refused())

    assert breaker.fail_counter == (4 if subject.is_ours else 0)
    assert heard.events == (["before_call"] if subject.is_ours else ["before_call", "success"])


def test_an_excluded_error_closes_nothing(subject: Subject) -> None:
    """pybreaker closes a circuit for a trial that says nothing about what was called."""
    breaker = subject.make(fail_max=1, reset_timeout=30, exclude=[Refused])
    fail(breaker)
    subject.pass_s(31)

    fail(breaker, 1, Refused())

    assert breaker.current_state == ("half-open" if subject.is_ours else "closed")


def test_no_lock_is_held_while_the_function_runs(subject: Subject) -> None:
    """With pybreaker a second thread is let in when the first is out."""
    breaker, entered = subject.make(), threading.Event()
    other = threading.Thread(target=breaker.call, args=(entered.set,))

    def first() -> bool:
        other.start()
        return entered.wait(10 if subject.is_ours else 0.2)

    was_let_in = breaker.call(first)
    other.join()

    assert was_let_in == subject.is_ours


@pytest.mark.parametrize("subject", OURS, indirect=True)
def test_eight_threads_are_inside_at_once(subject: Subject) -> None:
    """All of them meet inside their calls, which none could leave otherwise; of pybreaker's not even two do."""
    breaker, met = subject.make(), threading.Barrier(8)

    in_threads(8, lambda _: cast("None", breaker.call(met.wait, 10)))

    assert not met.broken


def test_half_open_lets_no_more_through_than_close_it(subject: Subject) -> None:
    """pybreaker lets any number of blocks begin; ours as many as close it, in all processes together."""
    processes = [subject.make(fail_max=1, reset_timeout=30, success_threshold=3) for _ in range(4)]
    fail(processes[0])
    subject.pass_s(31)

    with ExitStack() as blocks:
        for breaker in processes[:3]:
            blocks.enter_context(breaker.calling())
        with suppress(pybreaker.CircuitBreakerError), processes[3].calling():
            assert not subject.is_ours
            return
        assert subject.is_ours

    assert processes[0].current_state == "closed"


def test_the_end_of_a_call_is_written_in_one_step_or_not_at_all(subject: Subject) -> None:
    """pybreaker writes each success, and an opening in four steps between which another process may decide."""
    breaker = subject.make(fail_max=2, throw_new_error_on_trip=False)

    def written(work: Callable[[], object]) -> int:
        subject.writes.clear()
        work()
        return len(subject.writes)

    counts = (
        written(lambda: succeed(breaker)),
        written(lambda: fail(breaker)),
        written(lambda: succeed(breaker)),
        written(lambda: fail(breaker)),
        written(lambda: fail(breaker)),
    )

    assert counts == ((0, 1, 1, 1, 1) if subject.is_ours else (1, 1, 1, 1, 4))


def test_an_async_function_is_called_without_tornado(subject: Subject) -> None:
    """pybreaker has `call_async` for tornado's coroutines, and does not say so before it is called."""
    breaker: Any = subject.make(fail_max=2)

    async def ask(topic: str, *, fails: bool = False) -> str:
        await asyncio.sleep(0)
        if fails:
            raise ConnectionError
        return topic

    async def calls() -> str:
        with suppress(ConnectionError):
            await breaker.call_async(ask, "tea", fails=True)
        assert breaker.fail_counter == 1
        return cast("str", await breaker.call_async(ask, "tea"))

    if not subject.is_ours:
        with pytest.raises(NameError, match="gen"):
            breaker.call_async(ask, "tea")
        return
    assert asyncio.run(calls()) == "tea"
    assert breaker.fail_counter == 0


def test_a_decorated_async_function_counts_when_it_ends(subject: Subject) -> None:
    """pybreaker counts a success for every coroutine that is made, whatever becomes of it."""
    breaker = subject.make(fail_max=2, throw_new_error_on_trip=False)

    @breaker
    async def ask() -> None:
        raise ConnectionError

    async def calls() -> str:
        for _ in range(2):
            with suppress(ConnectionError):
                await ask()
        return breaker.current_state

    assert asyncio.run(calls()) == ("open" if subject.is_ours else "closed")
    assert inspect.iscoroutinefunction(ask) == subject.is_ours


def test_a_plain_function_may_be_said_to_be_awaited(subject: Subject) -> None:
    """pybreaker's option means tornado there, and is refused without it."""
    breaker = subject.make(fail_max=1, throw_new_error_on_trip=False)

    async def failing() -> None:
        raise ConnectionError

    def ask() -> Awaitable[None]:
        return failing()

    options: dict[str, bool] = {"__pybreaker_call_async": True}
    if not subject.is_ours:
        with pytest.raises(ImportError, match="tornado"):
            breaker(**options)
        return

    async def calls() -> None:
        with suppress(ConnectionError):
            await breaker(**options)(ask)()

    asyncio.run(calls())
    assert breaker.current_state == "open"


def test_what_is_not_about_the_dependency_is_no_failure(subject: Subject) -> None:
    """pybreaker counts an interrupt, and Dramatiq's wish to come back, against what was called."""
    breaker = subject.make(fail_max=5)
    for error in (KeyboardInterrupt(), Retry(delay=1)):
        with suppress(KeyboardInterrupt, Retry):
            breaker.call(boom, error)

    assert breaker.fail_counter == (0 if subject.is_ours else 2)


def test_a_generator_that_its_caller_closes_is_no_failure(subject: Subject) -> None:
    """pybreaker counts it as one: whoever takes the first item of three has failed."""
    breaker = subject.make()

    @breaker
    def ideas() -> Generator[str, None, None]:
        yield "one"
        yield "two"

    taken = ideas()
    next(taken)
    with suppress(GeneratorExit, RuntimeError):
        taken.close()

    assert breaker.fail_counter == (0 if subject.is_ours else 1)


def test_it_is_half_open_as_soon_as_its_time_is_over(subject: Subject) -> None:
    """pybreaker's is said to be open until somebody calls."""
    breaker = subject.make(fail_max=1, reset_timeout=30)
    fail(breaker)
    subject.pass_s(31)

    assert breaker.current_state == ("half-open" if subject.is_ours else "open")


def test_what_asks_for_time_is_given_it(subject: Subject) -> None:
    """A failure that says when to come back opens a circuit until then; to pybreaker it is one of five."""
    breaker = subject.make()
    error: Any = ConnectionError()
    error.retry_after_s = 100
    fail(breaker, 1, error)

    assert breaker.current_state == ("open" if subject.is_ours else "closed")


@pytest.mark.parametrize("subject", OURS, indirect=True)
def test_a_breaker_is_made_without_asking_its_store(subject: Subject) -> None:
    """It may stand in a module that is imported where there is no server; pybreaker's reads its state at once."""
    breaker = subject.make(name="ai")

    assert (breaker.name, subject.reads) == ("ai", 0)
    assert (breaker.current_state, subject.reads) == ("closed", 1)
