"""An example of every call of the control API, one module a section, for the tests that are made for all of them.

A module has `SECTION`, the section's name in `Control`, and `examples(world)`, one example for each of its calls.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast
from uuid import UUID, uuid4

import redis
from sqlalchemy import Engine

from app.control import Operator, OrgCaller
from app.control.build import Control
from broker import FairRedisBroker

#: The arguments of a call by name; made anew for each call where it uses a thing up.
Arguments = Mapping[str, object] | Callable[[], Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class World:
    """The API on real servers, and two orgs that know nothing of each other."""

    control: Control
    broker: FairRedisBroker
    engine: Engine
    client: redis.Redis
    #: Whose things the examples name.
    owner: UUID
    stranger: UUID

    def caller(self, org_id: UUID, *, who: str = "ann", reason: str = "ticket 4711") -> OrgCaller:
        """Somebody who acts for an org."""
        return OrgCaller(org_id=org_id, who=who, reason=reason)

    def operator(self, *, who: str = "olga", reason: str = "incident 12") -> Operator:
        """Somebody who runs the platform."""
        return Operator(who=who, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A call that works for whom it is meant for, and is refused to another org."""

    #: Names things of the owner's. Where an org can be named, it names it as `org_id`.
    mine: Arguments
    #: The same with things that are nowhere; needed where another org is told that they are not found.
    nowhere: Arguments | None = None
    refused: Literal["not_found", "operators_only"] = "not_found"


class ExampleModule(Protocol):
    """What a module of examples has."""

    SECTION: str

    def examples(self, world: World) -> dict[str, Example]:
        """By the name of the call."""
        ...


def modules() -> dict[str, ExampleModule]:
    """All of them, by section."""
    found = [
        cast(ExampleModule, importlib.import_module(f"{__name__}.{each.name}"))
        for each in pkgutil.iter_modules(__path__)
    ]
    return {each.SECTION: each for each in found}


def given(arguments: Arguments) -> dict[str, object]:
    """The arguments, made now where they are made."""
    return dict(arguments() if callable(arguments) else arguments)


def new_id() -> str:
    """An id of nothing."""
    return str(uuid4())
