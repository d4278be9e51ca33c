"""Orgs and queues through the control API."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from adapters.database.audit import SqlAuditLog
from adapters.database.orgs import SqlOrgs
from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from app.control import OperatorsOnly
from app.control.orgs import Orgs
from domain.errors import InvalidInput, NotFound, ProviderUnavailable
from tests.app.control.attempts import put_attempt
from tests.app.control.examples import World


def test_an_org_sees_what_holds_for_it(world: World) -> None:
    """Its name, region, share, limits and domains."""
    with SystemUnitOfWork(world.engine) as unit:
        unit.connection.execute(
            update(orgs)
            .where(orgs.c.id == world.owner)
            .values(name="Acme", region="eu", weight=3, limits={"max_active_jobs": 5})
        )
        unit.connection.execute(
            insert(domain_registry).values(org_id=world.owner, id=uuid4(), host=f"{uuid4().hex}.example")
        )

    shown = world.control.orgs.show(world.caller(world.owner))

    assert (shown.id, shown.name, shown.region, shown.weight) == (world.owner, "Acme", "eu", 3)
    assert (shown.limits, shown.domains) == ({"max_active_jobs": 5}, 2)
    assert world.control.orgs.show(world.operator(), org_id=world.owner) == shown


def test_an_operator_says_which_org(world: World) -> None:
    """And is told when there is none."""
    with pytest.raises(InvalidInput, match="say which org"):
        world.control.orgs.show(world.operator())
    with pytest.raises(NotFound, match="not found; check the id"):
        world.control.orgs.show(world.operator(), org_id=uuid4())


def test_an_org_that_is_gone_is_not_found(world: World) -> None:
    """Also by itself."""
    with pytest.raises(NotFound):
        world.control.orgs.show(world.caller(uuid4()))


def test_orgs_are_listed_page_by_page(world: World) -> None:
    """By id, those after the last one of the page before."""
    first, second = sorted((world.owner, world.stranger))
    before_it = UUID(int=first.int - 1)

    (page,) = world.control.orgs.list(world.operator(), after=before_it, limit=1)
    more = [each.id for each in world.control.orgs.list(world.operator(), after=first, limit=1_000)]

    assert page.id == first
    assert more == sorted(more)
    assert first not in more
    assert second in more
    with pytest.raises(InvalidInput, match="a page has 1 to 1000 entries, not 0"):
        world.control.orgs.list(world.operator(), limit=0)


def test_queues_are_listed_with_what_runs_on_them(world: World) -> None:
    """An org's own, or everybody's; a queue on which nothing runs is one, too."""
    for org_id, outcome in ((world.owner, "running"), (world.owner, "failed"), (world.stranger, "running")):
        put_attempt(world.engine, org_id, outcome=outcome)

    mine = world.control.queues.list(world.caller(world.owner))
    (images, _) = world.control.queues.list(world.operator())

    assert [(each.name, each.actors, each.running) for each in mine] == [
        ("images", ("resize",), 1),
        ("platform", ("sweep",), 0),
    ]
    assert images.running >= 2
    assert world.control.queues.list(world.operator(), org_id=world.owner) == mine


def test_an_operator_sets_what_holds_for_an_org(world: World) -> None:
    """Each on its own, the others stay; `default` takes it back."""
    set_ = partial(world.control.orgs.set, world.operator(), world.owner)
    with SystemUnitOfWork(world.engine) as unit:
        unit.connection.execute(update(orgs).where(orgs.c.id == world.owner).values(limits={"other": 1}))

    def now() -> tuple[int, object, str | None]:
        shown = world.control.orgs.show(world.caller(world.owner))
        return shown.weight, dict(shown.limits), shown.region

    set_(weight=3)
    set_(max_active=20)
    changed = set_(region="eu-1")
    assert now() == (3, {"other": 1, "max_active": 20}, "eu-1")
    assert (changed.live, changed.org) == (True, world.control.orgs.show(world.caller(world.owner)))

    set_(weight="default", max_active="default")
    assert now() == (1, {"other": 1}, "eu-1")
    set_(region="default")
    assert now() == (1, {"other": 1}, None)
    assert world.control.orgs.show(world.caller(world.stranger)).weight == 1


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "say what to change"),
        ({"weight": 0}, "weight must be 1 to 1000"),
        ({"weight": 1_001}, "weight must be 1 to 1000"),
        ({"weight": True}, "weight must be 1 to 1000"),
        ({"max_active": 0}, "max_active must be 1 to 10000"),
        ({"max_active": 10_001}, "max_active must be 1 to 10000"),
        ({"region": ""}, "region is part of queue names"),
        ({"region": "e u"}, "region is part of queue names"),
        ({"region": "\u00e9u"}, "region is part of queue names"),
        ({"region": "e" * 65}, "region is part of queue names"),
    ],
    ids=str,
)
def test_what_cannot_hold_is_refused(world: World, given: dict[str, Any], complaint: str) -> None:
    """And says what can; nothing is changed."""
    with pytest.raises(InvalidInput, match=complaint):
        world.control.orgs.set(world.operator(), world.owner, **given)

    shown = world.control.orgs.show(world.caller(world.owner))
    assert (shown.weight, shown.limits, shown.region) == (1, {}, None)


def test_setting_is_for_operators_and_for_orgs_there_are(world: World) -> None:
    """No org gives itself a larger share; an unknown one is not found."""
    with pytest.raises(OperatorsOnly):
        world.control.orgs.set(world.caller(world.owner), world.owner, weight=1_000)
    with pytest.raises(NotFound):
        world.control.orgs.set(world.operator(), uuid4(), weight=2)


def test_what_was_set_and_not_reported_is_no_failure(world: World) -> None:
    """It is written, and a worker tells it when Redis is back; the answer says so."""

    def away() -> None:
        raise ProviderUnavailable("Redis does not answer")

    untold = Orgs(SqlAuditLog(world.engine), SqlOrgs(world.engine), away)

    change = untold.set(world.operator(), world.owner, weight=2)

    assert (change.live, change.org.weight) == (False, 2)
