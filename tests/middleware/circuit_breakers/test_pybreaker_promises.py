"""What pybreaker promises, asked of its own class and of ours; where the two differ, a test says how."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, suppress
from typing import Any, cast

import pybreaker
import pytest
from dramatiq import Retry

from tests.middleware.circuit_breakers.subjects import Recorded, Subject, in_threads

#: Without pybreaker's own.
OURS = ["memory", "redis"]


class Refused(ValueError):
    """What the caller did wrong."""


def boom(error: BaseException | None = None) -> None:
    """Fail."""
    raise error or ConnectionError


def fail(breaker: pybreaker.CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    """Call so many times in vain."""
    for _ in range(times):
        with suppress(ConnectionError, Refused, pybreaker.CircuitBreakerError):
            breaker.call(boom, error)


def succeed(breaker: pybreaker.CircuitBreaker) -> str:
    """Call once with success."""
    return breaker.call(lambda: "fine")


def test_a_new_breaker_is_closed(subject: Subject) -> None:
    """It has counted nothing, and has pybreaker's numbers."""
    breaker = subject.make(name="ai")

    assert (breaker.current_state, breaker.state.name, breaker.name) == ("closed", "closed", "ai")
    assert (breaker.fail_counter, breaker.success_counter) == (0, 0)
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (5, 60, 1)


def test_a_call_has_its_arguments_and_returns_its_result(subject: Subject) -> None:
    """The breaker cannot be seen from either side."""

    def ask(topic: str, *, most: int) -> list[str]:
        return [topic] * most

    assert subject.make().call(ask, "tea", most=2) == ["tea", "tea"]


def test_an_error_is_the_functions_own(subject: Subject) -> None:
    """Below the maximum of failures it reaches the caller as it is."""
    error = ConnectionError()

    with pytest.raises(ConnectionError) as caught:
        subject.make().call(boom, error)

    assert caught.value is error


def test_fail_max_failures_in_a_row_open_it(subject: Subject) -> None:
    """The last one raises that it opened, and from then on nothing is called."""
    breaker = subject.make(fail_max=3)
    fail(breaker, 2)
    assert (breaker.current_state, breaker.fail_counter) == ("closed", 2)

    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(boom)

    assert (breaker.current_state, breaker.fail_counter) == ("open", 3)
    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(pytest.fail, "it was called")


def test_the_call_that_opens_it_raises_its_own_error_where_that_is_asked_for(subject: Subject) -> None:
    """Without `throw_new_error_on_trip` nobody sees a difference before the next call."""
    breaker = subject.make(fail_max=1, throw_new_error_on_trip=False)

    with pytest.raises(ConnectionError):
        breaker.call(boom)

    assert breaker.current_state == "open"


def test_a_success_begins_the_count_again(subject: Subject) -> None:
    """Only failures in a row are counted."""
    breaker = subject.make(fail_max=2)
    fail(breaker)
    succeed(breaker)
    fail(breaker)

    assert (breaker.current_state, breaker.fail_counter) == ("closed", 1)


def test_nothing_is_called_before_the_reset_timeout(subject: Subject) -> None:
    """It is open for all of it."""
    breaker = subject.make(fail_max=1, reset_timeout=30)
    fail(breaker)
    subject.pass_s(29)

    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(pytest.fail, "it was called")


def test_after_the_reset_timeout_a_success_closes_it(subject: Subject) -> None:
    """A single call is enough, and everything is as before."""
    breaker = subject.make(fail_max=2, reset_timeout=30)
    fail(breaker, 2)
    subject.pass_s(31)

    assert succeed(breaker) == "fine"

    assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)
    fail(breaker)
    assert breaker.current_state == "closed"


def test_after_the_reset_timeout_a_failure_opens_it_again(subject: Subject) -> None:
    """It is one more in the row, whatever the maximum is, and the time begins again."""
    breaker = subject.make(fail_max=3, reset_timeout=30)
    fail(breaker, 3)
    subject.pass_s(31)

    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(boom)

    assert (breaker.current_state, breaker.fail_counter) == ("open", 4)
    subject.pass_s(29)
    with pytest.raises(pybreaker.CircuitBreakerError):
        breaker.call(pytest.fail, "it was called")


def test_success_threshold_successes_close_it(subject: Subject) -> None:
    """They are counted, and begin at none whenever it is half-open anew."""
    breaker = subject.make(fail_max=1, reset_timeout=30, success_threshold=3)
    fail(breaker)
    subject.pass_s(31)
    succeed(breaker)
    assert (breaker.current_state, breaker.success_counter) == ("half-open", 1)
    fail(breaker)
    assert (breaker.current_state, breaker.success_counter) == ("open", 0)

    subject.pass_s(31)
    counted = []
    for _ in range(3):
        succeed(breaker)
        counted.append((breaker.current_state, breaker.success_counter))

    assert counted == [("half-open", 1), ("half-open", 2), ("closed", 0)]


def test_its_numbers_can_be_changed(subject: Subject) -> None:
    """The next call goes by the new ones."""
    breaker = subject.make()
    breaker.fail_max, breaker.reset_timeout, breaker.success_threshold = 1, 10, 2
    fail(breaker)
    subject.pass_s(11)
    succeed(breaker)
    assert breaker.current_state == "half-open"
    succeed(breaker)

    assert breaker.current_state == "closed"
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (1, 10, 2)


def test_an_excluded_class_never_opens_it(subject: Subject) -> None:
    """Neither does a class below it, and the caller gets the error."""
    breaker = subject.make(fail_max=1, exclude=[ValueError])

    for _ in range(2):
        with pytest.raises(Refused):
            breaker.call(boom, Refused())

    assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)
    assert breaker.excluded_exceptions == (ValueError,)


def test_an_excluding_function_is_asked_about_each_error(subject: Subject) -> None:
    """What it says yes to is not counted, and anything else is."""
    breaker = subject.make(fail_max=1, exclude=[lambda error: "404" in str(error)])

    fail(breaker, 2, ConnectionError("404"))
    assert breaker.current_state == "closed"
    fail(breaker, 1, ConnectionError("503"))
    assert breaker.current_state == "open"


def test_exclusions_come_and_go(subject: Subject) -> None:
    """Any number is added, and one is removed."""
    breaker = subject.make(fail_max=1)
    breaker.add_excluded_exceptions(KeyError, IndexError)
    breaker.add_excluded_exception(Refused)
    fail(breaker, 1, Refused())
    assert breaker.current_state == "closed"

    breaker.remove_excluded_exception(Refused)
    fail(breaker, 1, Refused())

    assert breaker.current_state == "open"
    assert breaker.excluded_exceptions == (KeyError, IndexError)


def test_an_error_says_if_it_would_count(subject: Subject) -> None:
    """The same is answered without a call."""
    breaker = subject.make(exclude=[ValueError])

    assert breaker.is_system_error(ConnectionError())
    assert not breaker.is_system_error(Refused())


def test_listeners_are_called_in_order(subject: Subject) -> None:
    """A call, its failure, the opening; the half-opening, the trial, the closing, its success."""
    heard = Recorded()
    breaker = subject.make(fail_max=2, reset_timeout=30, listeners=[heard])
    fail(breaker, 2)
    fail(breaker)
    subject.pass_s(31)
    succeed(breaker)
    succeed(breaker)

    assert heard.events == [
        "before_call",
        "failure ConnectionError",
        "before_call",
        "failure ConnectionError",
        "closed -> open",
        "open -> half-open",
        "before_call",
        "half-open -> closed",
        "success",
        "before_call",
        "success",
    ]


def test_a_listener_is_given_the_function_and_its_arguments(subject: Subject) -> None:
    """As they are, before the call."""
    heard = Recorded()

    def ask(topic: str, *, most: int) -> None:
        assert heard.calls == [(ask, ("tea",), {"most": 2})]

    subject.make(listeners=[heard]).call(ask, "tea", most=2)

    assert heard.events == ["before_call", "success"]


def test_listeners_come_and_go(subject: Subject) -> None:
    """Any number is added, and one is removed."""
    first, second, third = Recorded(), Recorded(), Recorded()
    breaker = subject.make(listeners=[first])
    breaker.add_listener(second)
    breaker.add_listeners(third)
    breaker.remove_listener(first)
    succeed(breaker)

    assert breaker.listeners == (second, third)
    assert (first.events, second.events) == ([], ["before_call", "success"])
    assert third.events == second.events


def test_what_another_process_changed_is_noticed(subject: Subject) -> None:
    """Its listeners are called at the next call of this one, which is refused."""
    heard = Recorded()
    one, other = subject.make(fail_max=1), subject.make(fail_max=1, listeners=[heard])
    succeed(other)
    fail(one)
    subject.pass_s(1)

    with pytest.raises(pybreaker.CircuitBreakerError):
        other.call(pytest.fail, "it was called")

    assert heard.events == ["before_call", "success", "closed -> open"]


def test_failures_of_all_processes_are_one_row(subject: Subject) -> None:
    """Two processes with one failure each open a circuit that takes two."""
    one, other = subject.make(fail_max=2), subject.make(fail_max=2)
    fail(one)
    fail(other)

    assert other.current_state == "open"


def test_a_decorated_function_is_called_through_it(subject: Subject) -> None:
    """It keeps its name and its arguments, with and without parentheses."""
    breaker = subject.make(fail_max=2)

    @breaker
    def ask(topic: str) -> str:
        raise ConnectionError(topic)

    @breaker()
    def answer(topic: str, *, loud: bool = False) -> str:
        return topic.upper() if loud else topic

    assert (ask.__name__, answer("tea", loud=True)) == ("ask", "TEA")
    for _ in range(2):
        with pytest.raises((ConnectionError, pybreaker.CircuitBreakerError)):
            ask("tea")
    with pytest.raises(pybreaker.CircuitBreakerError):
        answer("tea")


def test_a_decorated_method_is_one(subject: Subject) -> None:
    """The decorator may stand in a class."""
    breaker = subject.make()

    class Client:
        base = "https://example.org"

        @breaker
        def url(self, path: str) -> str:
            return self.base + path

    assert Client().url("/ideas") == "https://example.org/ideas"


def test_a_block_is_guarded(subject: Subject) -> None:
    """It ends well or in vain, and is not entered once the circuit is open."""
    breaker = subject.make(fail_max=2)
    with pytest.raises(ConnectionError), breaker.calling():
        raise ConnectionError
    assert breaker.fail_counter == 1
    with breaker.calling():
        pass
    assert breaker.fail_counter == 0

    for expected in (ConnectionError, pybreaker.CircuitBreakerError):
        with pytest.raises(expected), breaker.calling():
            raise ConnectionError
    with pytest.raises(pybreaker.CircuitBreakerError), breaker.calling():
        pytest.fail("it was entered")


def test_a_blocks_end_is_an_event(subject: Subject) -> None:
    """Listeners see a block as they see a call."""
    heard = Recorded()
    breaker = subject.make(listeners=[heard])
    with suppress(ConnectionError), breaker.calling():
        raise ConnectionError
    with breaker.calling():
        assert heard.events[2:] == ["before_call"]

    assert heard.events == ["before_call", "failure ConnectionError", "before_call", "success"]


def test_a_generator_counts_when_it_ends(subject: Subject) -> None:
    """Not when it is made: each of its items may be the one that fails."""
    breaker = subject.make(fail_max=2)

    @breaker
    def ideas(*, fails: bool) -> Generator[str, str, None]:
        said = yield "one"
        yield said
        if fails:
            raise ConnectionError

    failing = ideas(fails=True)
    assert (next(failing), failing.send("two")) == ("one", "two")
    assert breaker.fail_counter == 0
    with pytest.raises(ConnectionError):
        next(failing)
    assert breaker.fail_counter == 1

    assert list(ideas(fails=False)) == ["one", None]
    assert breaker.fail_counter == 0


def test_a_generator_is_not_made_when_the_circuit_is_open(subject: Subject) -> None:
    """It is refused where it is called."""
    breaker = subject.make(fail_max=1)
    fail(breaker)

    @breaker
    def ideas() -> Generator[str, None, None]:
        yield "one"

    with pytest.raises(pybreaker.CircuitBreakerError):
        ideas()


def test_it_is_opened_half_opened_and_closed_by_hand(subject: Subject) -> None:
    """Each is a state from which it goes on by itself, and an event."""
    heard = Recorded()
    breaker = subject.make(fail_max=3, reset_timeout=30, listeners=[heard])
    fail(breaker, 2)
    heard.events.clear()

    assert breaker.open()
    assert (breaker.current_state, breaker.fail_counter) == ("open", 2)
    with pytest.raises(pybreaker.CircuitBreakerError):
        succeed(breaker)
    breaker.half_open()
    assert (breaker.current_state, breaker.fail_counter) == ("half-open", 2)
    breaker.close()
    assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)

    assert heard.events == ["closed -> open", "open -> half-open", "half-open -> closed"]


def test_opened_by_hand_it_is_tried_after_the_reset_timeout(subject: Subject) -> None:
    """As if calls had failed."""
    breaker = subject.make(reset_timeout=30)
    breaker.open()
    subject.pass_s(31)

    assert succeed(breaker) == "fine"

    assert breaker.current_state == "closed"


def test_half_opened_by_hand_a_failure_opens_it(subject: Subject) -> None:
    """The first one, whatever the maximum is."""
    breaker = subject.make(fail_max=3)
    breaker.half_open()
    fail(breaker)

    assert breaker.current_state == "open"


def test_the_state_is_an_object_of_pybreakers(subject: Subject) -> None:
    """Code that asks for its class goes on working."""
    breaker = subject.make()
    seen = [type(breaker.state)]
    breaker.open()
    seen.append(type(breaker.state))
    breaker.half_open()
    seen.append(type(breaker.state))

    assert seen == [
        pybreaker.CircuitClosedState,
        pybreaker.CircuitOpenState,
        pybreaker.CircuitHalfOpenState,
    ]


def test_no_failure_is_lost_between_threads(subject: Subject) -> None:
    """Eighty failures at once are eighty."""
    breaker = subject.make(fail_max=1_000)

    in_threads(8, lambda _: fail(breaker, 10))

    subject.pass_s(1)
    assert breaker.fail_counter == 80


def test_eight_threads_open_it_at_the_last_of_the_allowed_failures(subject: Subject) -> None:
    """However they meet, all that are called before it opens fail, and none after."""
    breaker = subject.make(fail_max=8)

    in_threads(8, lambda _: fail(breaker))

    subject.pass_s(1)
    assert (breaker.current_state, breaker.fail_counter) == ("open", 8)


# Where they differ.


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
