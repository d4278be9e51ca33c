"""`python -m app orgs` and `queues`: who there is, and what runs."""

from uuid import UUID, uuid4

import pytest

from app.cli.orgs import orgs
from app.cli.queues import queues
from app.control import OperatorsOnly
from domain.errors import NotFound
from tests.app.cli.commands import Commands, as_operator
from tests.app.control.attempts import put_attempt

#: Each goes through servers and the whole command line; what the API promises is tested fast.
pytestmark = pytest.mark.slow


def test_orgs_are_listed_page_by_page(commands: Commands) -> None:
    """For operators alone."""
    first = min(commands.org_id, commands.other_id)
    after = str(UUID(int=first.int - 1))

    page = commands.json(orgs, "list", "--after", after, "--limit", "1", as_=as_operator())
    people = commands.run(orgs, "list", "--after", after, "--limit", "1", as_=as_operator()).output

    assert page == [
        {
            "org_id": str(first),
            "id": str(first),
            "name": "An org",
            "region": None,
            "weight": 1,
            "max_active": None,
            "cursor": str(first),
        }
    ]
    assert f"More: --after {first}" in people
    assert isinstance(commands.run(orgs, "list").exception, OperatorsOnly)


def test_an_org_is_shown(commands: Commands) -> None:
    """To itself, and to operators; another org's is not found."""
    shown = commands.json(orgs, "show")
    people = commands.run(orgs, "show", str(commands.org_id), as_=as_operator()).output

    assert (shown["name"], shown["weight"], shown["limits"], shown["domains"]) == ("An org", 1, {}, 1)
    assert "An org" in people
    assert "region" not in people
    for foreign in (commands.other_id, uuid4()):
        refused = commands.run(orgs, "show", str(foreign))
        assert isinstance(refused.exception, NotFound)
        assert str(refused.exception) == str(NotFound("org", foreign))


def test_an_org_is_set(commands: Commands) -> None:
    """By operators, who say why; the words for people and for scripts say what holds then."""
    org = str(commands.org_id)

    people = commands.run(
        orgs,
        *("set", org, "--weight", "3", "--max-active", "20", "--region", "eu"),
        as_=as_operator("gold plan"),
    ).output
    shown = commands.json(orgs, "show")
    scripts = commands.json(
        orgs,
        *("set", org, "--weight", "default", "--max-active", "default", "--region", "default"),
        as_=as_operator(),
    )

    assert people == f"{org}: weight 3, max active 20, region eu. It holds.\n"
    assert (shown["weight"], shown["limits"], shown["region"]) == (3, {"max_active": 20}, "eu")
    assert (scripts["weight"], scripts["limits"], scripts["region"], scripts["live"]) == (1, {}, None, True)
    target = f"org_id={org} weight=3 max_active=20 region=eu"
    assert commands.audited("orgs.set", target) == [("gold plan", commands.org_id)]


def test_what_an_org_cannot_be_set_to_is_said(commands: Commands) -> None:
    """A word that is no number is a mistake in the command; an org may not set itself."""
    mistaken = commands.run(orgs, "set", str(commands.org_id), "--weight", "gold", as_=as_operator())
    refused = commands.run(orgs, "set", str(commands.org_id), "--weight", "9", "--reason", "we grow")

    assert mistaken.exit_code == 2
    assert isinstance(refused.exception, OperatorsOnly)


def test_queues_are_listed_with_what_runs(commands: Commands) -> None:
    """All that actors of the platform work on."""
    put_attempt(commands.engine, commands.org_id, queue="exports", outcome="running")

    listed = {each["name"]: each for each in commands.json(queues, "list")}

    assert (listed["exports"]["actors"], listed["exports"]["running"]) == (["domain_export"], 1)
    assert "domain_export" in commands.run(queues, "list", as_=as_operator()).output
