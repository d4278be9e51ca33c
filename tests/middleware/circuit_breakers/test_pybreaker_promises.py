"""What pybreaker promises of a circuit breaker, asked of its own class and of ours."""

import pybreaker
import pytest

from tests.middleware.circuit_breakers.subjects import (
    Recorded,
    Refused,
    Subject,
    boom,
    fail,
    in_threads,
    succeed,
)


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

    assert breaker.fail_counter == 80


def test_eight_threads_open_it_at_the_last_of_the_allowed_failures(subject: Subject) -> None:
    """However they meet, all that are called before it opens fail, and none after."""
    breaker = subject.make(fail_max=8)

    in_threads(8, lambda _: fail(breaker))

    assert (breaker.current_state, breaker.fail_counter) == ("open", 8)
