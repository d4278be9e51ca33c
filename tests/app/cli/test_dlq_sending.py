"""`pressroom dlq retry`, `edit` and `retry-matching` in processes of their own: what is sent, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from app.bootstrap.redis import NAMESPACE
from middleware.dead_letters.letter import DeadLetter
from tests.app.cli.dead_letter_desk import WHY, Desk
from tests.broker.workers import stored
from tests.databases import Database
from tests.middleware.own_server import OwnValkey, own_valkey
from tests.tenants import Tenant

ROOT = Path(__file__).resolve().parents[3]

#: The whole command line, with the errors it knows as one line and an exit code.
MAIN = "from app.cli.root import main; main()"


@pytest.fixture
def desk(
    database: Database, engine: Engine, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A desk for one org."""
    monkeypatch.chdir(tmp_path)
    return Desk.at(database, engine, tenant, monkeypatch)


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
