"""`pressroom dlq`: what it prints for people and for scripts, whose letters it touches, and its exit codes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine, select
from typer.testing import CliRunner, Result

from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.tables import audit_log
from adapters.database.unit_of_work import SystemUnitOfWork
from app.bootstrap.redis import NAMESPACE
from app.cli.dlq import dlq
from app.output import CommandError
from app.settings import SettingsError
from domain.errors import InvalidInput, NotFound
from middleware.dead_letters.letter import DeadLetter
from tests.app.cli.commands import NO_TERMINAL
from tests.broker.workers import stored
from tests.databases import Database
from tests.middleware.dead_letters.sample_letters import a_letter
from tests.middleware.own_server import OwnValkey, own_valkey
from tests.tenants import Tenant

#: Why an org's caller changes anything.
WHY = ("--reason", "ticket 4711")

ROOT = Path(__file__).resolve().parents[3]

#: The whole command line, with the errors it knows as one line and an exit code.
MAIN = "from app.cli.root import main; main()"


@dataclass(frozen=True)
class Desk:
    """The command line on a real database, and the letters there."""

    store: SqlDeadLetters[DeadLetter]
    engine: Engine
    org: str

    def run(self, *arguments: str, org: str | None = None) -> Result:
        """Run one command for the org."""
        return CliRunner(env=NO_TERMINAL).invoke(dlq, [*arguments, "--org", org or self.org])

    def json(self, *arguments: str, org: str | None = None) -> Any:
        """What one command prints for scripts."""
        result = self.run(*arguments, "--json", org=org)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def letter(self, **over: object) -> DeadLetter:
        """A letter of the org's."""
        letter = a_letter(**{"org": self.org, **over})
        self.store.put([letter])
        return letter

    def now(self, letter: DeadLetter) -> DeadLetter | None:
        """The letter as it is by now."""
        return self.store.of_every_org().get(letter.id)

    def audited(self, target: str) -> list[tuple[str, str | None, str | None]]:
        """What was done to a thing: action, reason, org."""
        columns = audit_log.c
        query = select(columns.action, columns.reason, columns.org_id).where(columns.target == target)
        with SystemUnitOfWork(self.engine) as unit:
            rows = unit.connection.execute(query.order_by(columns.at)).all()
        return [(action, reason, org and str(org)) for action, reason, org in rows]


@pytest.fixture
def desk(
    database: Database, engine: Engine, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A desk for one org."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.worker_url)
    return Desk(SqlDeadLetters(engine, DeadLetter.from_record), engine, str(tenant.org_id))


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


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    output: str
    errors: str


class Platform:
    """The real command line in processes of its own, with a Redis that nobody else uses."""

    def __init__(self, desk: Desk, database: Database, server: OwnValkey, home: Path) -> None:
        self.desk = desk
        self.server = server
        self._environment = {
            **os.environ,
            "DATABASE_URL": database.worker_url,
            "REDIS_URL": server.url,
            "PRESSROOM_HOME": str(home),
        }

    def run(self, *arguments: str, stdin: str = "") -> Finished:
        """Run `python -m app dlq ...` for the org."""
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "dlq", *arguments, "--org", self.desk.org],
            cwd=ROOT,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def queued(self) -> list[dict[str, Any]]:
        """The messages on the queue of the exports."""
        with redis.Redis.from_url(self.server.url) as client:
            return stored(client, NAMESPACE, "exports")

    def export(self, **over: object) -> DeadLetter:
        """The letter of an export that failed."""
        payload = {"org_id": self.desk.org, "domain_id": str(uuid4()), "format": "csv"}
        return self.desk.letter(
            actor="domain_export",
            queue="exports",
            redacted=(),
            contract_version=1,
            options={"org": self.desk.org, "contract_version": 1},
            payload={"args": [payload], "kwargs": {}},
            **over,
        )


@pytest.fixture
def platform(desk: Desk, database: Database, tmp_path: Path) -> Iterator[Platform]:
    """The command line, a database and a Redis."""
    with own_valkey() as server:
        yield Platform(desk, database, server, tmp_path)


@pytest.mark.slow
def test_a_message_is_sent_again(platform: Platform) -> None:
    """As a new one; a second time only when that is meant; the exit codes say which."""
    letter = platform.export()

    first = platform.run("retry", letter.id, "--json", *WHY)
    second = platform.run("retry", letter.id, *WHY)
    third = platform.run("retry", letter.id, "--again", *WHY)

    assert [first.code, second.code, third.code] == [0, 1, 0], (first, second, third)
    assert "say --again" in second.errors
    queued = {message["message_id"]: message for message in platform.queued()}
    sent = queued[json.loads(first.output)["message_id"]]
    assert len(queued) == 2
    assert letter.payload is not None
    assert sent["args"] == letter.payload["args"]
    assert [each[0] for each in platform.desk.audited(letter.id)] == ["dead_letters.retry"] * 3


@pytest.mark.slow
def test_a_message_is_edited_and_sent_again(platform: Platform, tmp_path: Path) -> None:
    """From a file or standard input; what does not fit the contract, or leaves the org, is refused."""
    letter = platform.export()
    good = {"org_id": platform.desk.org, "domain_id": str(uuid4()), "format": "json"}
    (tmp_path / "payload.json").write_text(json.dumps({**good, "format": "docx"}))

    bad = platform.run("edit", letter.id, str(tmp_path / "payload.json"), *WHY)
    foreign = platform.run("edit", letter.id, "-", *WHY, stdin=json.dumps({**good, "org_id": str(uuid4())}))
    done = platform.run("edit", letter.id, "-", *WHY, stdin=json.dumps(good))

    assert [bad.code, foreign.code, done.code] == [1, 1, 0], (bad, foreign, done)
    assert "format:" in bad.errors
    assert "org_id: has to stay the org of the letter" in foreign.errors
    (message,) = platform.queued()
    (payload,) = message["args"]
    assert payload["format"] == "json"
    changed = platform.desk.now(letter)
    assert changed is not None
    assert {"path": "args.0.format", "before": '"csv"', "after": '"json"'} in changed.changes


@pytest.mark.slow
def test_many_are_counted_then_sent(platform: Platform) -> None:
    """A dry run sends nothing; the first few, then the rest."""
    for _ in range(4):
        platform.export(category="timeout")
    platform.export(category="network")

    counted = platform.run("count", "--category", "timeout", "--json")
    assert json.loads(counted.output) == {"would_send": 4}
    assert platform.queued() == []
    matching = ("retry-matching", "--category", "timeout", "--watch", "0", *WHY)
    few = platform.run(*matching, "--first", "1", "--json")
    rest = platform.run(*matching, "--all")

    assert (len(json.loads(few.output)["sent"]), few.code, rest.code) == (1, 0, 0), (few, rest)
    assert "Sent 3 messages again. None has failed again." in rest.output
    assert len(platform.queued()) == 4


@pytest.mark.slow
def test_the_old_spelling_of_many_works_and_says_the_new(platform: Platform) -> None:
    """Until 0.3: `retry` with filters counts and sends as it did, with one line on standard error."""
    for _ in range(2):
        platform.export(category="timeout")

    dry = platform.run("retry", "--category", "timeout", "--dry-run", "--json")
    few = platform.run("retry", "--category", "timeout", "--first", "1", "--watch", "0", "--json", *WHY)
    rest = platform.run("retry", "--category", "timeout", "--all", "--watch", "0", *WHY)

    assert json.loads(dry.output) == {"would_send": 2}
    assert dry.errors == "`dlq retry --dry-run` goes in 0.3; it is `dlq count` now.\n"
    assert (len(json.loads(few.output)["sent"]), few.code, rest.code) == (1, 0, 0), (few, rest)
    assert few.errors == rest.errors
    assert rest.errors.endswith("it is `dlq retry-matching` now.\n")
    assert len(platform.queued()) == 2


@pytest.mark.slow
def test_a_redis_that_is_away_marks_nothing(platform: Platform) -> None:
    """It is asked before anything is done."""
    letter = platform.export()
    platform.server.stop()

    result = platform.run("retry", letter.id, *WHY)

    assert result.code == 1
    assert "Redis does not answer" in result.errors
    assert platform.desk.now(letter) == letter
