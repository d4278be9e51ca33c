"""`pressroom dlq`: what it prints for people and for scripts, whose letters it touches, and its exit codes."""

import json
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from app.cli.dlq import dlq
from app.output import CommandError
from app.settings import SettingsError
from domain.errors import InvalidInput, NotFound
from tests.app.cli.dead_letter_desk import WHY, Desk
from tests.databases import Database
from tests.tenants import Tenant


@pytest.fixture
def desk(
    database: Database, engine: Engine, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A desk for one org."""
    monkeypatch.chdir(tmp_path)
    return Desk.at(database, engine, tenant, monkeypatch)


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("show", "x"),
    ("count",),
    ("retry", "x"),
    ("retry-matching", "--all"),
    ("edit", "x", os.devnull),
    ("delete", "x"),
    ("stats",),
    ("purge", "--older-than", "30d"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """`--help` ends with 0."""
    result = CliRunner().invoke(dlq, [command[0], "--help"])

    assert result.exit_code == 0
    assert "--org" in result.output


def test_letters_are_listed_the_newest_first(desk: Desk) -> None:
    """Page by page; a category narrows it; text that looks like markup is shown as it is."""
    letters = [desk.letter(died_at_ms=at, message=f"no [/markup] {at}") for at in (1_000, 2_000, 3_000)]
    desk.letter(category="timeout")

    page = desk.json("list", "--category", "network", "--limit", "2")

    assert [row["id"] for row in page] == [letters[2].id, letters[1].id]
    assert page[0].keys() >= {"actor", "category", "attempts", "message", "cursor", "replayed_as"}
    (last,) = desk.json("list", "--category", "network", "--after", page[1]["cursor"])
    assert last["id"] == letters[0].id
    people = desk.run("list", "--limit", "4").output
    assert "no [/markup] 3000" in people
    assert "More: --after" in people
    assert "1970-01-01 00:00:03Z" in people


def test_a_letter_is_shown_whole(desk: Desk) -> None:
    """To people without what it has not, to scripts as its record."""
    letter = desk.letter(message="[bold]no[/]")

    shown = desk.json("show", letter.id)
    assert shown == {**shown, **letter.as_record()}
    assert (shown["dead_letter_id"], shown["died_at"][-1]) == (letter.id, "Z")
    people = desk.run("show", letter.id).output
    assert "[bold]no[/]" in people
    assert '"image_id": 7' in people
    assert "replay_of" not in people


def test_what_was_sent_again_is_not_open(desk: Desk) -> None:
    """It is listed as replayed, and counted apart; each filter that `retry-matching` has narrows list and counts."""
    kept = desk.letter(category="timeout", actor="domain_export", fingerprint="f1")
    again = desk.letter(category="timeout", actor="domain_export", fingerprint="f2", replayed_as="m-2")
    desk.letter(actor="feedback_ingest")

    def ids(*arguments: str) -> list[str]:
        return [each["dead_letter_id"] for each in desk.json("list", *arguments)]

    assert ids("--open", "--actor", "domain_export") == [kept.id]
    assert ids("--replayed") == [again.id]
    assert ids("--fingerprint", "f1") == [kept.id]
    assert set(ids("--category", "timeout")) == {kept.id, again.id}
    counts = desk.json("stats", "--actor", "domain_export")
    assert (counts["category"], counts["open"]["category"]) == ({"timeout": 2}, {"timeout": 1})
    assert counts["replayed"]["fingerprint"]["f2"] == 1
    people = desk.run("list", "--actor", "domain_export").output
    assert "open" in people
    assert "replayed" in people


def test_where_there_are_none_it_says_so(desk: Desk) -> None:
    """A line, and no empty table."""
    assert desk.run("list").output == "No dead letters.\n"
    assert desk.run("stats").output == "No dead letters.\n"


@pytest.mark.parametrize(
    "command",
    [
        ("retry", "x"),
        ("retry-matching", "--all"),
        ("retry", "--all"),
        ("edit", "x", "-"),
        ("delete", "x"),
        ("purge", "--older-than", "30d"),
    ],
    ids=" ".join,
)
def test_an_org_says_why_it_changes_anything(desk: Desk, command: tuple[str, ...]) -> None:
    """With the option or PRESSROOM_REASON; without, exit code 2."""
    assert desk.run(*command).exit_code == 2


def test_the_reason_may_stand_in_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as the option's is, which goes before it."""
    one, other = desk.letter(), desk.letter()
    monkeypatch.setenv("PRESSROOM_REASON", "incident 12")

    assert desk.json("delete", one.id)["deleted"] == one.id
    assert desk.json("delete", other.id, *WHY)["deleted"] == other.id

    reasons = [desk.audited(each.id)[0][1] for each in (one, other)]
    assert reasons == ["incident 12", WHY[1]]


def test_a_cursor_that_is_none_is_refused(desk: Desk) -> None:
    """In words."""
    assert isinstance(desk.run("list", "--after", "yesterday").exception, InvalidInput)


def test_letters_are_counted(desk: Desk) -> None:
    """By category, region, actor and fingerprint."""
    desk.letter()
    desk.letter(category="timeout", region=None)

    counts = desk.json("stats")

    assert (counts["category"], counts["region"]) == ({"network": 1, "timeout": 1}, {"eu": 1})
    assert "fingerprint" in desk.run("stats").output


def test_a_letter_is_deleted_once(desk: Desk) -> None:
    """And the audit log knows."""
    letter = desk.letter()

    assert desk.json("delete", letter.id, *WHY)["deleted"] == letter.id
    assert desk.now(letter) is None
    assert isinstance(desk.run("delete", letter.id, *WHY).exception, NotFound)
    assert desk.audited(letter.id)[0] == ("dead_letters.delete", WHY[1], desk.org)


@pytest.mark.parametrize(("age", "gone"), [("30d", 1), ("1w", 2), ("999999w", 0)])
def test_letters_of_an_age_are_deleted(desk: Desk, age: str, gone: int) -> None:
    """Whatever unit it is told in."""
    now_ms = time.time_ns() // 1_000_000
    for days in (31, 8, 1):
        desk.letter(died_at_ms=now_ms - days * 86_400_000)

    assert desk.json("purge", "--older-than", age, *WHY) == {"purged": gone}


@pytest.mark.parametrize("command", [("show", "x"), ("delete", "x")], ids=lambda command: command[0])
def test_another_orgs_letter_is_not_found(desk: Desk, command: tuple[str, ...]) -> None:
    """In the same words as one that is not there."""
    letter = desk.letter()
    other = str(uuid4())

    theirs = desk.run(command[0], letter.id, *WHY, org=other)
    nobodys = desk.run(command[0], "x", *WHY, org=other)

    assert str(theirs.exception).replace(letter.id, "x") == str(nobodys.exception)
    assert desk.now(letter) == letter


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    "scope",
    [
        (),
        ("--operator",),
        ("--operator", "--reason", " "),
        ("--org", str(uuid4()), "--operator", "--reason", "ticket"),
        ("--org", "acme"),
    ],
    ids=["nobody", "no-reason", "blank-reason", "both", "no-org"],
)
def test_a_command_has_to_be_reported_whose_letters(
    desk: Desk, tmp_path: Path, command: tuple[str, ...], scope: tuple[str, ...]
) -> None:
    """One org's, or with a reason all: anything else is a mistake, exit code 2."""
    (tmp_path / "payload").write_text("{}")
    arguments = ["payload" if each == os.devnull else each for each in command]

    assert CliRunner().invoke(dlq, [*arguments, *scope]).exit_code == 2


def test_an_operator_sees_every_org_and_leaves_a_trace(desk: Desk) -> None:
    """Who looked, at what, and why."""
    letter, reason = desk.letter(), uuid4().hex

    result = CliRunner().invoke(dlq, ["show", letter.id, "--operator", "--reason", reason, "--json"])

    assert json.loads(result.stdout)["id"] == letter.id
    assert desk.audited(letter.id) == [("dead_letters.show", reason, None)]
    assert desk.json("show", letter.id)
    assert len(desk.audited(letter.id)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry",),
        ("retry", "x", "--all"),
        ("retry", "x", "--category", "network"),
        ("retry", "--category", "network"),
        ("retry", "--dry-run", "--all"),
        ("retry", "--dry-run", "--first", "3"),
        ("retry", "--first", "0"),
        ("list", "--limit", "1001"),
        ("purge", "--older-than", "a while"),
        ("purge",),
    ],
    ids=" ".join,
)
def test_a_mistake_is_exit_code_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    """Nothing is done."""
    assert desk.run(*arguments).exit_code == 2


@pytest.mark.parametrize("text", [None, "{"], ids=["missing", "no-json"])
def test_a_payload_that_cannot_be_read_says_so(desk: Desk, tmp_path: Path, text: str | None) -> None:
    """Nothing is sent."""
    if text is not None:
        (tmp_path / "payload").write_text(text)

    assert isinstance(desk.run("edit", "x", "payload", *WHY).exception, CommandError)


def test_without_a_database_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other command."""
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(dlq, ["list", "--org", str(uuid4())])

    assert isinstance(result.exception, SettingsError)
