"""The ways to call through a circuit breaker that pybreaker has, by its own class and by ours."""

from collections.abc import Generator
from contextlib import suppress

import pybreaker
import pytest

from tests.middleware.circuit_breakers.subjects import (
    Recorded,
    Subject,
    fail,
)


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
