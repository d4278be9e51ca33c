"""Orgs and queues through the control API."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from app.control.inspector import QueueInfo
from domain.errors import InvalidInput, NotFound
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

    assert mine == [
        QueueInfo(name="images", actors=("resize",), running=1),
        QueueInfo(name="platform", actors=("sweep",), running=0),
    ]
    assert images.running >= 2
    assert world.control.queues.list(world.operator(), org_id=world.owner) == mine
