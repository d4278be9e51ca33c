"""Circuit breakers through the control API: an operator's word holds in every process."""

from uuid import uuid4

import pytest

from app.bootstrap.breakers import circuit_breakers
from app.control.build import build
from app.settings import Settings
from domain.errors import InvalidInput, ProviderUnavailable
from middleware import Parked
from tests.app.control.examples import World


@pytest.fixture
def key() -> str:
    """A circuit that nobody else uses."""
    return f"test:{uuid4()}"


def test_a_circuit_is_held_open_and_then_let_go(world: World, key: str) -> None:
    """Jobs wait for it, and are told who says so and why."""
    operator = world.operator(who="olga", reason="incident 12")

    held = world.control.breakers.force_open(operator, key)

    assert (held.state, held.forced, held.who, held.reason) == ("open", "open", "olga", "incident 12")
    assert key in [each.key for each in world.control.breakers.list(operator)]
    assert world.control.breakers.show(operator, key) == held
    with pytest.raises(Parked), circuit_breakers(world.client).calling(key):
        raise AssertionError("it was called")

    assert world.control.breakers.reset(operator, key).state == "closed"
    with circuit_breakers(world.client).calling(key):
        called = True
    assert called


def test_a_circuit_is_held_closed(world: World, key: str) -> None:
    """However many calls fail."""
    operator = world.operator()
    assert world.control.breakers.force_closed(operator, key).forced == "closed"

    for _ in range(6):
        with pytest.raises(ConnectionError), circuit_breakers(world.client).calling(key):
            raise ConnectionError

    assert world.control.breakers.show(operator, key).state == "closed"
    world.control.breakers.reset(operator, key)


def test_a_circuit_of_which_nothing_is_known_is_closed(world: World, key: str) -> None:
    """It is no mistake to ask."""
    assert world.control.breakers.show(world.operator(), key).state == "closed"


@pytest.mark.parametrize("call", ["show", "force_open", "force_closed", "reset"])
def test_a_key_that_cannot_be_is_refused(world: World, call: str) -> None:
    """With what keys look like."""
    with pytest.raises(InvalidInput, match="a dependency is letters"):
        getattr(world.control.breakers, call)(world.operator(), "a key")


def test_without_redis_it_says_so(world: World, settings: Settings) -> None:
    """As something that may pass."""
    away = settings.model_copy(update={"redis_url": None})

    with build(away, broker=lambda: world.broker) as control:
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            control.breakers.list(world.operator())
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            control.breakers.force_open(world.operator(), "ai")
