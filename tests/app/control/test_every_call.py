"""What holds for every call of the control API, whoever adds one."""

import copy
from dataclasses import dataclass
from typing import get_type_hints
from uuid import uuid4

import pytest
from sqlalchemy import select

from adapters.database.tables import audit_log
from adapters.database.unit_of_work import SystemUnitOfWork
from app.control import Caller, OperatorsOnly
from app.control.audit import Call, Section
from app.control.build import Control
from domain.errors import DatabaseUnavailable, NotFound
from tests.app.control.examples import Arguments, Example, World, given, modules

#: Every section, and every call of it.
SECTIONS = {
    name: type_
    for name, type_ in get_type_hints(Control).items()
    if isinstance(type_, type) and issubclass(type_, Section)
}
CALLS = [(section, name) for section, type_ in SECTIONS.items() for name in type_.calls]
EVERY_CALL = pytest.mark.parametrize(("section", "name"), CALLS, ids=[".".join(each) for each in CALLS])


@dataclass(frozen=True)
class Audited:
    """A row of the audit log."""

    action: str
    reason: str
    org: str | None


def call_of(section: str, name: str) -> Call:
    """What is known of a call."""
    return SECTIONS[section].calls[name]


def example_of(world: World, section: str, name: str) -> Example:
    """Its example."""
    return modules()[section].examples(world)[name]


def make(world: World, section: str, name: str, caller: Caller, arguments: Arguments) -> object:
    """Make the call."""
    return getattr(getattr(world.control, section), name)(caller, **given(arguments))


def audited(world: World, who: str) -> list[Audited]:
    """What somebody did."""
    columns = audit_log.c
    query = select(columns.action, columns.reason, columns.org_id).where(columns.actor == who)
    with SystemUnitOfWork(world.engine) as unit:
        rows = unit.connection.execute(query).all()
    return [Audited(action, reason, org and str(org)) for action, reason, org in rows]


def test_every_section_is_covered() -> None:
    """Each call has its example, and no example is of nothing."""
    assert modules().keys() == SECTIONS.keys()
    assert CALLS


@pytest.mark.parametrize("section", SECTIONS)
def test_every_call_has_an_example(world: World, section: str) -> None:
    """A new call is in these tests, or they fail."""
    assert modules()[section].examples(world).keys() == SECTIONS[section].calls.keys()


def test_actions_tell_calls_apart() -> None:
    """The audit log says which call of which section it was."""
    actions = [call_of(section, name).action for section, name in CALLS]
    assert len(set(actions)) == len(actions)
    assert all("." in action for action in actions)


@EVERY_CALL
def test_another_org_gets_not_found(world: World, section: str, name: str) -> None:
    """In the same words as for what is nowhere; or the call is for operators alone, and says so."""
    example = example_of(world, section, name)
    stranger = world.caller(world.stranger)

    if example.refused == "operators_only":
        with pytest.raises(OperatorsOnly, match="for operators only"):
            make(world, section, name, stranger, example.mine)
        return
    assert example.nowhere is not None
    theirs, nowhere = given(example.mine), given(example.nowhere)
    with pytest.raises(NotFound) as not_theirs:
        make(world, section, name, stranger, theirs)
    with pytest.raises(NotFound) as not_there:
        make(world, section, name, stranger, nowhere)
    assert _without(str(not_theirs.value), theirs) == _without(str(not_there.value), nowhere)


@EVERY_CALL
def test_what_changes_anything_is_audited(world: World, section: str, name: str) -> None:
    """Once, with who, what, why and whose; what an org only looks at is not."""
    call, who, reason = call_of(section, name), uuid4().hex, uuid4().hex
    example = example_of(world, section, name)
    caller: Caller = (
        world.operator(who=who, reason=reason)
        if call.operators_only
        else world.caller(world.owner, who=who, reason=reason)
    )

    mine = given(example.mine)
    make(world, section, name, caller, mine)

    named = str(mine["org_id"]) if mine.get("org_id") else None
    org = named if call.operators_only else str(world.owner)
    rows = [Audited(call.action, reason, org)] if call.changes or call.operators_only else []
    assert audited(world, who) == rows


@EVERY_CALL
def test_whatever_an_operator_does_is_audited(world: World, section: str, name: str) -> None:
    """Looking, too; with the org that was named, if one was."""
    call, who, reason = call_of(section, name), uuid4().hex, uuid4().hex
    mine = given(example_of(world, section, name).mine)

    make(world, section, name, world.operator(who=who, reason=reason), mine)

    org = str(mine["org_id"]) if mine.get("org_id") else None
    assert audited(world, who) == [Audited(call.action, reason, org)]


@EVERY_CALL
def test_what_cannot_be_audited_is_not_done(world: World, section: str, name: str) -> None:
    """Nothing is as much as touched before the row is written."""
    mine = given(example_of(world, section, name).mine)
    real = getattr(world.control, section)
    deaf = copy.copy(real)
    for attribute in vars(real):
        setattr(deaf, attribute, Untouchable())
    deaf._audit = Deaf()

    with pytest.raises(DatabaseUnavailable, match="nothing can be written"):
        getattr(deaf, name)(world.operator(), **mine)
    if call_of(section, name).changes and not call_of(section, name).operators_only:
        with pytest.raises(DatabaseUnavailable, match="nothing can be written"):
            getattr(deaf, name)(world.caller(world.owner), **mine)


class Deaf:
    """An audit log that is away."""

    def record(self, *args: object, **kwargs: object) -> None:
        """Never works."""
        raise DatabaseUnavailable("nothing can be written")


class Untouchable:
    """Must not be used."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was used before the call was audited")

    def __call__(self, *args: object, **kwargs: object) -> object:
        raise AssertionError("it was called before the call was audited")


def _without(text: str, arguments: object) -> str:
    """The text without the arguments' values."""
    if isinstance(arguments, dict):
        for name, value in arguments.items():
            text = _without(text, value) if isinstance(value, dict) else text.replace(str(value), f"<{name}>")
    return text
