"""`control.pauses`: who may hold back what, and who may let it go."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from adapters.database.audit import SqlAuditLog
from adapters.database.orgs import SqlOrgs
from app.control import OperatorsOnly
from app.control.pauses import Pauses
from domain.errors import InvalidInput, NotFound, ProviderUnavailable
from middleware import StoreUnavailable
from tests.app.control.examples import World

MINUTE_MS = 60_000


def whats(world: World, org_id: object = None) -> list[str]:
    """What is paused of an org's, as an operator sees it."""
    found = world.control.pauses.list(world.operator(), org_id=org_id)  # type: ignore[arg-type]  # tests give ids
    return [str(each.what) for each in found]


def test_an_org_pauses_its_own(world: World) -> None:
    """All of it, or one actor's; the caller's name and reason are shown, and the end is the store's."""
    owner = world.caller(world.owner, who="ann", reason="we move house")
    pauses = world.control.pauses

    whole = pauses.pause(owner, for_ms=MINUTE_MS)
    pauses.pause(owner, actor="resize", for_ms=MINUTE_MS)

    assert whats(world, world.owner) == [
        f"org {world.owner}",
        f"actor resize of org {world.owner}",
    ]
    assert [each.who for each in pauses.list(owner)] == ["ann", "ann"]
    assert (whole.who, whole.reason) == ("ann", "we move house")
    assert whole.until_ms == whole.since_ms + MINUTE_MS
    assert pauses.list(world.caller(world.stranger)) == []

    pauses.resume(owner)
    assert whats(world, world.owner) == [f"actor resize of org {world.owner}"]


def test_a_queue_is_for_operators(world: World) -> None:
    """An org shares it with all others."""
    owner = world.caller(world.owner)
    with pytest.raises(OperatorsOnly):
        world.control.pauses.pause(owner, queue="images", for_ms=MINUTE_MS)
    with pytest.raises(OperatorsOnly):
        world.control.pauses.resume(owner, queue="images")


def test_an_operator_pauses_anything(world: World) -> None:
    """A queue, one region's, an actor, an org, an org's actor."""
    operator, pauses = world.operator(), world.control.pauses
    for what in (
        {"queue": "images"},
        {"queue": "images.eu"},
        {"actor": "resize"},
        {"org_id": world.owner},
        {"actor": "resize", "org_id": world.owner},
    ):
        made = pauses.pause(operator, **what, for_ms=MINUTE_MS)
        assert made in pauses.list(operator)
        pauses.resume(operator, **what)
        assert made not in pauses.list(operator)


def test_an_org_does_not_end_what_an_operator_has_paused(world: World) -> None:
    """It is told whom to ask, also when it pauses and resumes on its own; an operator ends both."""
    owner, operator, pauses = world.caller(world.owner), world.operator(), world.control.pauses
    pauses.pause(operator, org_id=world.owner, for_ms=MINUTE_MS)
    pauses.pause(owner, for_ms=MINUTE_MS)
    pauses.resume(owner)

    with pytest.raises(InvalidInput, match="was paused by an operator; ask them"):
        pauses.resume(owner)
    assert [each.who for each in pauses.list(owner)] == [operator.who]

    pauses.pause(owner, for_ms=MINUTE_MS)
    pauses.resume(operator, org_id=world.owner)
    assert pauses.list(owner) == []


def test_what_is_not_paused_cannot_be_resumed(world: World) -> None:
    """A typing mistake is told."""
    with pytest.raises(NotFound, match=f"pause of actor resize of org {world.owner} not found"):
        world.control.pauses.resume(world.caller(world.owner), actor="resize")


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"actor": "resise"}, "no actor resise; there are: resize, sweep"),
        ({"queue": "pictures"}, r"no queue pictures; there are: images, platform, each also with \.<region>"),
        ({"queue": "images", "actor": "resize"}, "name a queue alone"),
        ({}, "name a queue, an actor or an org"),
        ({"actor": "resize", "for_ms": 0}, "for_ms must be at least 1"),
    ],
)
def test_what_is_meant_has_to_be_there(world: World, asked: dict[str, object], fault: str) -> None:
    """A pause of something misspelt would hold nothing back."""
    with pytest.raises(InvalidInput, match=fault):
        world.control.pauses.pause(world.operator(), **asked)  # type: ignore[arg-type]  # the faults are meant


def test_an_org_that_is_nowhere_is_not_found(world: World) -> None:
    """To an operator too."""
    with pytest.raises(NotFound, match="org"):
        world.control.pauses.pause(world.operator(), org_id=uuid4())


class Away:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*args: object, **kwargs: object) -> object:
            raise StoreUnavailable

        return method


def test_redis_being_away_is_said_so(world: World) -> None:
    """As something that may pass."""
    pauses = Pauses(SqlAuditLog(world.engine), Away(), lambda: world.broker, SqlOrgs(world.engine))
    caller = world.caller(world.owner)
    for call in (pauses.list, pauses.pause, pauses.resume):
        with pytest.raises(ProviderUnavailable, match="Redis does not answer"):
            call(caller)
