"""`python -m app breakers`: an operator's word on circuits."""

from uuid import uuid4

import pytest

from app.cli.breakers import breakers
from app.control import OperatorsOnly
from domain.errors import InvalidInput
from tests.app.cli.commands import Commands, as_operator

#: Each goes through servers and the whole command line; what the API promises is tested fast.
pytestmark = pytest.mark.slow


@pytest.fixture
def key() -> str:
    """A circuit that nobody else uses."""
    return f"test:{uuid4()}"


def test_a_circuit_is_held_open_listed_and_let_go(commands: Commands, key: str) -> None:
    """With the reason, for people and for scripts; each is kept."""
    opened = commands.json(breakers, "open", key, as_=as_operator("they are down"))
    listed = {each["key"]: each for each in commands.json(breakers, "list", as_=as_operator())}
    people = commands.run(breakers, "show", key, as_=as_operator()).output
    closed = commands.run(breakers, "close", key, as_=as_operator()).output
    reset = commands.json(breakers, "reset", key, as_=as_operator())

    assert (opened["state"], opened["forced"], opened["reason"]) == ("open", "open", "they are down")
    assert listed[key] == opened
    assert "they are down" in people
    assert f"Circuit {key} is held closed." in closed
    assert (reset["state"], reset["forced"]) == ("closed", None)
    assert commands.audited("breakers.force_open", key) == [("they are down", None)]
    assert commands.audited("breakers.reset", key) == [("incident 12", None)]


def test_people_get_a_table(commands: Commands, key: str) -> None:
    """Of what is not closed."""
    commands.json(breakers, "open", key, as_=as_operator("look at this"))

    output = commands.run(breakers, "list", as_=as_operator()).output

    assert "Circuits that are not plainly closed" in output
    assert "look at this" in output
    commands.json(breakers, "reset", key, as_=as_operator())


def test_an_org_has_no_say(commands: Commands, key: str) -> None:
    """Circuits concern everybody."""
    assert isinstance(commands.run(breakers, "list").exception, OperatorsOnly)
    refused = commands.run(breakers, "open", key, "--reason", "why")
    assert isinstance(refused.exception, OperatorsOnly)


def test_a_key_that_cannot_be_is_refused(commands: Commands) -> None:
    """With what keys look like."""
    result = commands.run(breakers, "open", "a key", as_=as_operator())

    assert isinstance(result.exception, InvalidInput)
