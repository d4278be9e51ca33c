"""`python -m app transfers`: what it prints for people and for scripts, whose tokens it touches, what it refuses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from typer.testing import CliRunner, Result

from adapters.database.tables import audit_log, domain_transfer_tokens
from adapters.database.unit_of_work import SystemUnitOfWork
from app.cli.transfers import transfers
from app.settings import SettingsError
from domain.errors import InvalidInput, NotFound
from domain.transfer_tokens import token_hash
from tests.databases import Database
from tests.tenants import Tenant


@dataclass(frozen=True)
class Desk:
    """The command line on a real database."""

    engine: Engine
    tenant: Tenant

    def run(self, *arguments: str) -> Result:
        """Run one command for the org."""
        return CliRunner().invoke(transfers, [*arguments, "--org", str(self.tenant.org_id)])

    def json(self, *arguments: str) -> Any:
        """What one command prints for scripts."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def issue(self, *arguments: str) -> Any:
        """A token for the org's domain."""
        return self.json("issue", "--domain", str(self.tenant.domain_id), "--reason", "sold", *arguments)

    def hashes(self) -> dict[str, bytes]:
        """What is kept of the org's tokens, by id."""
        tokens = domain_transfer_tokens.c
        with SystemUnitOfWork(self.engine) as unit:
            rows = unit.connection.execute(
                select(tokens.id, tokens.token_hash).where(tokens.org_id == self.tenant.org_id)
            )
            return {str(token_id): hashed for token_id, hashed in rows}

    def audited(self) -> list[tuple[str, str, str | None]]:
        """Action, target and reason of what was done to the org's things."""
        columns = audit_log.c
        query = select(columns.action, columns.target, columns.reason).where(
            columns.org_id == self.tenant.org_id
        )
        with SystemUnitOfWork(self.engine) as unit:
            return [tuple(row) for row in unit.connection.execute(query.order_by(columns.at))]


@pytest.fixture
def desk(
    database: Database, engine: Engine, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A desk for one org."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database.worker_url)
    return Desk(engine, tenant)


@pytest.mark.parametrize("command", ["issue", "list", "revoke"])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` ends with 0."""
    result = CliRunner().invoke(transfers, [command, "--help"])

    assert result.exit_code == 0
    assert "--org" in result.output


def test_a_token_is_printed_once_and_kept_hashed(desk: Desk, new_tenant: Callable[[], Tenant]) -> None:
    """For whoever has it or for one org, for as long as is said; the audit log has the reason."""
    receiver = new_tenant().org_id
    everybodys = desk.issue()
    theirs = desk.issue("--receiver", str(receiver), "--expires-in", "7d")

    assert desk.hashes() == {
        each["token_id"]: token_hash(SecretStr(each["token"])) for each in (everybodys, theirs)
    }
    left = datetime.fromisoformat(theirs["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    target = f"domain {desk.tenant.domain_id}"
    assert desk.audited() == [("domain_transfer.issue", target, "sold")] * 2

    listed = desk.json("list")
    assert [(each["token_id"], each["status"], each["receiver_org_id"]) for each in listed] == [
        (everybodys["token_id"], "open", None),
        (theirs["token_id"], "open", str(receiver)),
    ]
    assert everybodys["token"] not in desk.run("list").output


def test_people_are_reported_what_the_token_does(desk: Desk) -> None:
    """The token stands alone on a line, so that it can be copied."""
    output = desk.run("issue", "--domain", str(desk.tenant.domain_id), "--reason", "sold").output

    token, *rest = output.splitlines()
    assert desk.hashes().popitem()[1] == token_hash(SecretStr(token))
    assert "once, until" in (reported := " ".join(" ".join(rest).split()))
    assert "whoever has it" in reported
    assert "not shown again" in reported


def test_a_token_is_revoked(desk: Desk) -> None:
    """The list says so, and the audit log why."""
    token_id = desk.issue()["token_id"]

    answer = desk.json("revoke", token_id, "--reason", "wrong buyer")

    assert answer == {"token_id": token_id, "status": "revoked"}
    assert [each["status"] for each in desk.json("list")] == ["revoked"]
    assert desk.audited()[-1] == ("domain_transfer.revoke", f"transfer token {token_id}", "wrong buyer")
    assert "is revoked" in desk.run("revoke", token_id, "--reason", "again").output


def test_pages_go_on_after_a_token(desk: Desk) -> None:
    """People are told how."""
    first, second = desk.issue()["token_id"], desk.issue()["token_id"]

    page = desk.json("list", "--limit", "1")

    assert [each["token_id"] for each in page] == [first]
    assert [each["token_id"] for each in desk.json("list", "--after", page[0]["cursor"])] == [second]
    assert f"--after {first}" in desk.run("list", "--limit", "1").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--expires-in", "soon"), "--expires-in is a number with"),
        (("--expires-in", "31d"), "valid_for"),
        (("--expires-in", "0m"), "valid_for"),
        (("--reason", " "), "reason"),
    ],
)
def test_what_makes_no_token_is_a_mistake_of_the_caller(
    desk: Desk, arguments: tuple[str, ...], message: str
) -> None:
    """Exit code 2, and the option to mend."""
    result = desk.run("issue", "--domain", str(desk.tenant.domain_id), "--reason", "sold", *arguments)

    assert result.exit_code == 2
    assert message in result.output
    assert desk.hashes() == {}


def test_another_orgs_things_are_not_found(desk: Desk, new_tenant: Callable[[], Tenant]) -> None:
    """Neither its domain nor its token; nobody is no receiver."""
    other = new_tenant()
    theirs = Desk(desk.engine, other).issue()["token_id"]

    def refused(*arguments: str) -> BaseException | None:
        return desk.run(*arguments, "--reason", "mine?").exception

    assert isinstance(refused("issue", "--domain", str(other.domain_id)), NotFound)
    assert isinstance(refused("revoke", theirs), NotFound)
    nobody = refused("issue", "--domain", str(desk.tenant.domain_id), "--receiver", str(uuid4()))
    assert isinstance(nobody, NotFound)
    itself = refused("issue", "--domain", str(desk.tenant.domain_id), "--receiver", str(desk.tenant.org_id))
    assert isinstance(itself, InvalidInput)
    assert desk.audited() == []


def test_without_a_database_it_says_what_to_set(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every command does."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(transfers, ["list", "--org", str(UUID(int=1))])

    assert isinstance(result.exception, SettingsError)
