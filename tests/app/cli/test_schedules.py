"""`pressroom schedules`, and pausing with `queues` and `orgs`."""

import json
import re
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from app.cli.orgs import orgs
from app.cli.queues import queues
from app.cli.schedules import schedules
from app.control import OperatorsOnly
from app.output import CommandError
from domain.errors import InvalidInput, NotFound
from tests.app.cli.commands import Commands, as_operator

WHY = ("--reason", "ticket 12")
PAYLOAD = json.dumps({"domain_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "format": "csv"})


def add(commands: Commands, name: str = "weekly", *more: str) -> str:
    """A weekly export; its id."""
    made = commands.json(
        schedules, "add", name, "domain_export", "0 8 * * mon", PAYLOAD, "--tz", "Europe/Athens", *more, *WHY
    )
    return str(made["id"])


def test_a_schedule_is_added_listed_and_shown(commands: Commands) -> None:
    """For people and for scripts; whoever added it is audited."""
    schedule_id = add(commands)

    (listed,) = commands.json(schedules, "list")
    shown = commands.json(schedules, "show", schedule_id)
    people = commands.run(schedules, "list").output

    assert listed == {**shown, "cursor": schedule_id}
    assert (shown["name"], shown["actor"], shown["tz"]) == ("weekly", "domain_export", "Europe/Athens")
    assert shown["payload"]["format"] == "csv"
    assert re.search(r"0 8 \* \* mon.*Europe/Athens", people)
    assert "weekly" in commands.run(schedules, "show", schedule_id).output
    target = "name=weekly actor=domain_export expression=0 8 * * mon"
    assert (WHY[1], commands.org_id) in commands.audited("schedules.add", target)


def test_a_schedule_is_paused_resumed_and_removed(commands: Commands) -> None:
    """Each says what is now; a resumed one when it is due."""
    schedule_id = add(commands)

    assert commands.run(schedules, "pause", schedule_id, *WHY).output == "Paused weekly.\n"
    assert "paused" in commands.run(schedules, "list").output
    assert "it is due next at 20" in commands.run(schedules, "resume", schedule_id, *WHY).output
    assert commands.json(schedules, "remove", schedule_id, *WHY)["removed"] == schedule_id
    assert commands.run(schedules, "list").output == "No schedules.\n"


def test_another_orgs_schedule_is_not_found(commands: Commands) -> None:
    """By every command that names one."""
    schedule_id = add(commands)
    stranger = ("--org", str(commands.other_id))
    for name in ("show", "pause", "resume", "remove"):
        why = () if name == "show" else WHY
        refused = commands.run(schedules, name, schedule_id, *why, as_=stranger)
        assert isinstance(refused.exception, NotFound)


def test_an_operator_sees_every_orgs_and_those_built_in(commands: Commands) -> None:
    """Page by page; and adds one for an org that they name."""
    add(commands)
    for_org = ("--for-org", str(commands.org_id))
    made = commands.json(
        schedules, "add", "daily", "domain_export", "@daily", PAYLOAD, *for_org, as_=as_operator()
    )

    page = commands.json(schedules, "list", "--limit", "1000", as_=as_operator())
    people = commands.run(schedules, "list", "--limit", "1000", as_=as_operator()).output

    assert made["org_id"] == str(commands.org_id)
    assert {"weekly", "daily"} <= {each["name"] for each in page if each["org_id"] == str(commands.org_id)}
    assert re.search(r"Built in(.|\n)*database_maintenance.*17 3 \* \* \*", people)


@pytest.mark.parametrize(
    ("arguments", "error", "fault"),
    [
        (("weekly", "domain_export", "@daily", "{"), CommandError, "the payload is not JSON"),
        (("weekly", "domain_export", "@daily", "[]"), CommandError, "is a JSON object"),
        (("weekly", "domain_export", "@daily", "{}"), InvalidInput, "domain_id: Field required"),
        (("weekly", "domain_export", "daily", PAYLOAD), InvalidInput, "has 1 fields"),
        (("weekly", "database_maintenance", "@daily"), InvalidInput, "no job that an org can schedule"),
    ],
)
def test_what_cannot_be_is_refused(
    commands: Commands, arguments: tuple[str, ...], error: type[Exception], fault: str
) -> None:
    """With the field and the fix."""
    refused = commands.run(schedules, "add", *arguments, *WHY).exception
    assert isinstance(refused, error)
    assert fault in str(refused)


def test_a_preview_needs_no_server() -> None:
    """The next times by the zone's clocks and in UTC; what cannot be meant is said."""
    run = CliRunner().invoke
    result = run(schedules, ["preview", "0 8 * * mon-fri", "--tz", "Europe/Athens", "--json"])
    rows = json.loads(result.output)
    assert len(rows) == 5
    assert all(re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri) \S+ 08:00 EES?T", each["local"]) for each in rows)
    assert all(re.fullmatch(r"\S+T0[56]:00:00Z", each["utc"]) for each in rows)
    assert "08:00" in run(schedules, ["preview", "0 8 * * *", "--count", "1"]).output
    refused = run(schedules, ["preview", "0 8 * * fri-mon"]).exception
    assert isinstance(refused, CommandError)
    assert "goes backwards" in str(refused)


def test_an_org_is_paused_and_resumed(commands: Commands) -> None:
    """By itself, for a while; one actor's jobs or all."""
    org = str(commands.org_id)
    paused = commands.json(orgs, "pause", "--for", "2h", *WHY)
    assert (paused["org"], paused["actor"], paused["reason"]) == (org, None, "ticket 12")
    assert paused["until_ms"] == paused["since_ms"] + 2 * 3_600_000
    one = commands.run(orgs, "pause", "--actor", "domain_export", "--for", "2h", *WHY).output
    assert one == f"Paused actor domain_export of org {org}.\n"

    listed = commands.json(queues, "paused")
    assert [each["actor"] for each in listed] == [None, "domain_export"]
    assert "ticket 12" in commands.run(queues, "paused").output
    assert commands.json(queues, "paused", as_=("--org", str(commands.other_id))) == []

    assert commands.run(orgs, "resume", *WHY).output == f"Resumed {org}.\n"
    commands.json(queues, "resume", "--actor", "domain_export", *WHY)
    assert commands.json(queues, "paused") == []
    assert isinstance(commands.run(orgs, "resume", *WHY).exception, NotFound)


def test_an_operator_pauses_an_org(commands: Commands) -> None:
    """Which it cannot undo; another org's is nowhere to an org."""
    org = str(commands.org_id)
    commands.json(orgs, "pause", org, "--for", "1m", as_=as_operator())
    refused = commands.run(orgs, "resume", *WHY).exception
    assert isinstance(refused, InvalidInput)
    assert "ask them to resume it" in str(refused)
    commands.json(orgs, "resume", org, as_=as_operator())
    assert isinstance(commands.run(orgs, "pause", str(commands.other_id), *WHY).exception, NotFound)
    assert commands.run(orgs, "pause", as_=as_operator()).exit_code == 2


def test_a_queue_is_paused_and_resumed_by_operators(commands: Commands) -> None:
    """In a region where nobody else is; an org is refused, and so is naming nothing."""
    queue = f"exports.{uuid4().hex}"
    commands.json(queues, "pause", queue, "--for", "1m", as_=as_operator())
    assert queue in [each["queue"] for each in commands.json(queues, "paused", as_=as_operator())]
    assert commands.run(queues, "resume", queue, as_=as_operator()).output == f"Resumed {queue}.\n"
    assert isinstance(commands.run(queues, "pause", queue, *WHY).exception, OperatorsOnly)
    for nothing in ((), (queue, "--actor", "domain_export"), (queue, "--for", "soon")):
        assert commands.run(queues, "pause", *nothing, as_=as_operator()).exit_code == 2
