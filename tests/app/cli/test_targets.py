"""`python -m app targets`: what it stores, whose targets it touches, what it shows, and its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, update
from typer.testing import CliRunner, Result

from adapters.credentials import CredentialBox, WordPressCredentials
from adapters.database.tables import audit_log, publish_targets
from adapters.database.targets import SqlPublishTargets
from adapters.database.unit_of_work import SystemUnitOfWork
from app.cli.targets import targets
from app.dev.wordpress_site import Permalinks, SiteUser, WordPressSite, wordpress_site
from app.output import CommandError
from domain.errors import InvalidInput, NotFound
from tests.databases import Database
from tests.tenants import Tenant

ROOT = Path(__file__).resolve().parents[3]

OLD, NEW = "o" * 32, "n" * 32
USERS = (
    SiteUser(name="editor", application_password="editor planted"),
    SiteUser(name="contributor", application_password="contributor planted", role="contributor"),
)
SECRET = {"secret": "whsec planted 0123456789"}


@dataclass(frozen=True)
class Desk:
    """The command line on a real database, for one org with a domain."""

    engine: Engine
    tenant: Tenant

    @property
    def org(self) -> str:
        """Whose targets."""
        return str(self.tenant.org_id)

    def run(self, *arguments: str, org: str | None = None, stdin: object = None) -> Result:
        """One command for the org."""
        given = None if stdin is None else stdin if isinstance(stdin, str) else json.dumps(stdin)
        return CliRunner().invoke(targets, [*arguments, "--org", org or self.org], input=given)

    def json(self, *arguments: str, stdin: object = None) -> Any:
        """What one command prints for scripts."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def adding(self, *more: str, name: str = "Blog", address: str = "https://blog.example") -> list[str]:
        """The arguments that add a webhook."""
        return [
            *("add", "--domain", str(self.tenant.domain_id), "--name", name, "--adapter", "webhook"),
            *("--address", address, "--reason", "ticket 7", *more),
        ]

    def add(self, *more: str, **named: str) -> UUID:
        """Add a webhook."""
        return UUID(self.json(*self.adding(*more, **named), stdin=SECRET)["target_id"])

    def add_site(self, site: WordPressSite, user: SiteUser, name: str = "", path: str = "") -> UUID:
        """Add a WordPress site."""
        arguments = self.adding(name=name or user.name, address=site.url + path)
        arguments[arguments.index("webhook")] = "wordpress"
        given = {"username": user.name, "application_password": user.application_password}
        return UUID(self.json(*arguments, stdin=given)["target_id"])

    def stored_as(self, name: str = "Blog") -> str:
        """How the audit log names a webhook that is stored."""
        return f"domain_id={self.tenant.domain_id} name={name} adapter=webhook"

    def row(self, target_id: UUID) -> Any:
        """The target as it is kept."""
        with SystemUnitOfWork(self.engine) as unit:
            query = select(publish_targets).where(publish_targets.c.id == target_id)
            return unit.connection.execute(query).one_or_none()

    def audited(self, target: object) -> list[tuple[str, str | None, str | None]]:
        """What was done to a thing: action, reason, org."""
        columns = audit_log.c
        query = select(columns.action, columns.reason, columns.org_id).where(columns.target == str(target))
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
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", json.dumps([OLD]))
    return Desk(engine, tenant)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[WordPressSite]:
    """A site that the settings allow."""
    monkeypatch.setenv("PRESSROOM_PUBLISH_ALLOW_HTTP", "true")
    monkeypatch.setenv("PRESSROOM_PUBLISH_ALLOWED_NETWORKS", '["127.0.0.0/8"]')
    with wordpress_site(users=USERS) as running:
        yield running


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("add",),
    ("list",),
    ("check", str(uuid4())),
    ("rotate",),
    ("disable", str(uuid4()), "--reason", "ticket"),
    ("enable", str(uuid4()), "--reason", "ticket"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """`--help` ends with 0."""
    assert CliRunner().invoke(targets, [command[0], "--help"]).exit_code == 0


def test_a_target_is_stored(desk: Desk) -> None:
    """With its credentials encrypted for it, enabled, and the audit log says who and why."""
    target_id = desk.add()

    row = desk.row(target_id)
    assert (row.org_id, row.domain_id) == (desk.tenant.org_id, desk.tenant.domain_id)
    assert (row.name, row.adapter, row.address, row.enabled) == (
        "Blog",
        "webhook",
        "https://blog.example",
        True,
    )
    assert b"planted" not in row.credentials
    opened = CredentialBox([SecretStr(OLD)]).decrypt(target_id, row.credentials)
    assert opened.model_dump()["secret"].get_secret_value() == SECRET["secret"]
    assert desk.audited(desk.stored_as()) == [("targets.add", "ticket 7", desk.org)]


def test_a_name_is_taken_once(desk: Desk) -> None:
    """Its target changes only when that is said, and keeps its id, so that intents still find it."""
    target_id = desk.add()

    again = desk.run(*desk.adding(address="https://other.example"), stdin=SECRET)
    assert isinstance(again.exception, InvalidInput)
    assert "--replace" in str(again.exception)
    assert desk.row(target_id).address == "https://blog.example"

    assert desk.add("--replace", address="https://other.example") == target_id
    assert desk.row(target_id).address == "https://other.example"
    assert CredentialBox([SecretStr(OLD)]).decrypt(target_id, desk.row(target_id).credentials)
    assert [action for action, *_ in desk.audited(desk.stored_as())] == [
        *("targets.add", "targets.add"),  # what is refused was asked for
        "targets.replace",
    ]


@pytest.mark.parametrize(
    "given",
    ["", "planted", '{"secret": "planted"}', '{"username": "planted", "application_password": "planted"}'],
    ids=["nothing", "no JSON", "too short", "another kind's"],
)
def test_credentials_that_are_none_are_refused(desk: Desk, given: str) -> None:
    """What is wrong is told without what was given; nothing is stored."""
    result = desk.run(*desk.adding(), stdin=given)

    assert isinstance(result.exception, InvalidInput | CommandError)
    assert "planted" not in f"{result.exception} {result.output}"
    assert desk.json("list") == []


@pytest.mark.parametrize(
    "address",
    [
        "http://blog.example",
        "https://ann:planted@blog.example",
        "https://10.0.0.1",
        "https://[::1]/",
        "blog.example",
    ],
)
def test_an_address_that_may_not_be_called_is_refused(desk: Desk, address: str) -> None:
    """Before credentials are read."""
    result = desk.run(*desk.adding(address=address), stdin=SECRET)

    assert isinstance(result.exception, InvalidInput)
    assert "planted" not in f"{result.exception} {result.output}"
    assert desk.json("list") == []


def test_another_orgs_domain_is_not_found(desk: Desk, new_tenant: Callable[[], Tenant]) -> None:
    """In the same words as one that does not exist."""
    theirs, nobodys = str(new_tenant().domain_id), str(uuid4())
    own = str(desk.tenant.domain_id)
    results = [
        desk.run(*[domain if each == own else each for each in desk.adding()], stdin=SECRET)
        for domain in (theirs, nobodys)
    ]

    assert all(isinstance(result.exception, NotFound) for result in results)
    assert str(results[0].exception).replace(theirs, nobodys) == str(results[1].exception)


def test_targets_are_listed_without_their_credentials(desk: Desk, new_tenant: Callable[[], Tenant]) -> None:
    """An org's own, page by page."""
    made = [str(desk.add(name=name)) for name in ("One", "Two", "Three")]
    Desk(desk.engine, new_tenant()).add()

    page = desk.json("list", "--limit", "2")

    assert [row["target_id"] for row in page] == made[:2]
    assert (page[0]["name"], page[0]["domain"], page[0]["enabled"]) == ("One", desk.tenant.host, True)
    assert "credentials" not in page[0]
    assert [row["target_id"] for row in desk.json("list", "--after", page[1]["cursor"])] == made[2:]
    assert "More: --after" in desk.run("list", "--limit", "2").output


def test_a_site_is_checked(desk: Desk, site: WordPressSite) -> None:
    """Ready or not, with the fix; the exit code says which; nothing is left there."""
    ready, not_ready = desk.add_site(site, USERS[0]), desk.add_site(site, USERS[1])
    stranger = desk.add_site(site, SiteUser(name="nobody", application_password="planted"))

    assert desk.json("check", str(ready))["ready"] is True
    for target_id, fix in ((not_ready, "Author or Editor"), (stranger, "check the user name")):
        result = desk.run("check", str(target_id), "--json")
        assert result.exit_code == 1
        assert fix in json.loads(result.stdout)["message"]
        assert "planted" not in result.output
    assert "is ready" in desk.run("check", str(ready)).output
    assert site.posts() == []


def test_a_sites_own_address_is_stored(desk: Desk, site: WordPressSite) -> None:
    """Whichever of its addresses was given, whatever its permalinks; one that is away is stored as it was given."""
    site.add(slug="a-post", status="publish")
    for number, permalinks in enumerate(get_args(Permalinks)):
        site.set_permalinks(permalinks)
        path = ("/a-post/", "/index.php", "/wp-json/")[number]
        made = desk.add_site(site, USERS[0], name=permalinks, path=path)
        assert desk.row(made).address == site.url
        assert desk.run("check", str(made)).exit_code == 0
    site.maintain()
    assert desk.row(desk.add_site(site, USERS[0])).address == site.url


def test_a_check_says_what_the_database_cannot_know(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are gone, and addresses that are not allowed any more."""
    target_id = desk.add()
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", json.dumps([NEW]))

    result = desk.run("check", str(target_id))

    assert result.exit_code == 1
    assert "PRESSROOM_SECRET_KEYS" in result.output


def test_a_target_is_switched_off_and_on(desk: Desk) -> None:
    """Once each; what is asked is written down, whether or not it changes anything."""
    target_id = str(desk.add())
    for command, enabled, changed in (
        ("disable", False, True),
        ("disable", False, False),
        ("enable", True, True),
        ("enable", True, False),
    ):
        answer = desk.json(command, target_id, "--reason", "ticket 8")
        assert (answer["enabled"], answer["changed"]) == (enabled, changed)
        assert desk.row(UUID(target_id)).enabled is enabled
    rows = [(action, "ticket 8", desk.org) for action in ("targets.disable", "targets.enable")]
    assert desk.audited(target_id) == [rows[0], rows[0], rows[1], rows[1]]


@pytest.mark.parametrize("command", ["check", "disable", "enable"])
def test_another_orgs_target_is_not_found(desk: Desk, new_tenant: Callable[[], Tenant], command: str) -> None:
    """In the same words as one that does not exist; nothing happens to it."""
    target_id, nobodys = str(desk.add()), str(uuid4())
    other = str(new_tenant().org_id)
    reason = () if command == "check" else ("--reason", "ticket")

    results = [desk.run(command, each, *reason, org=other) for each in (target_id, nobodys)]

    assert all(isinstance(result.exception, NotFound) for result in results)
    assert str(results[0].exception).replace(target_id, nobodys) == str(results[1].exception)
    assert desk.row(UUID(target_id)).enabled is True


def test_an_operator_may_switch_off_any_target(desk: Desk) -> None:
    """The audit log has why."""
    target_id, reason = desk.add(), uuid4().hex

    result = CliRunner().invoke(targets, ["disable", str(target_id), "--operator", "--reason", reason])

    assert result.exit_code == 0, result.exception
    assert desk.row(target_id).enabled is False
    assert desk.audited(target_id)[-1] == ("targets.disable", reason, None)


@pytest.mark.parametrize("command", COMMANDS[2:], ids=lambda command: command[0])
@pytest.mark.parametrize(
    "scope", [(), ("--operator",), ("--operator", "--reason", " "), ("--org", "acme")], ids=str
)
def test_a_command_has_to_be_reported_whose_targets(
    desk: Desk, command: tuple[str, ...], scope: tuple[str, ...]
) -> None:
    """One org's, or with a reason all: anything else is a mistake, exit code 2."""
    if scope[:1] == ("--operator",):
        command = tuple(each for each in command if each not in ("--reason", "ticket"))
    assert CliRunner().invoke(targets, [*command, *scope]).exit_code == 2


@pytest.mark.parametrize(
    "wrong", [{"webhook": "ftp"}, {"Blog": " "}, {"Blog": "x" * 201}, {"ticket 7": " "}], ids=str
)
def test_a_mistake_is_exit_code_2(desk: Desk, wrong: dict[str, str]) -> None:
    """Nothing is stored."""
    arguments = [wrong.get(each, each) for each in desk.adding()]
    assert desk.run(*arguments, stdin=SECRET).exit_code == 2
    assert desk.json("list") == []


def test_credentials_are_encrypted_again(desk: Desk) -> None:
    """With the newest key, in batches; what no key opens is told and left alone; the second time all is done."""
    made = [desk.add(name=f"T{number}") for number in range(5)]
    lost = desk.add(name="Lost")
    foreign = CredentialBox([SecretStr("f" * 32)]).encrypt(
        lost, WordPressCredentials(username="x", application_password=SecretStr("x"))
    )
    with SystemUnitOfWork(desk.engine) as unit:
        unit.connection.execute(
            update(publish_targets).where(publish_targets.c.id == lost).values(credentials=foreign)
        )
    both = CredentialBox([SecretStr(NEW), SecretStr(OLD)])
    mine = desk.tenant.org_id  # other tests' targets have other keys

    first = SqlPublishTargets(desk.engine).rotate(mine, both.rotated, batch=2)
    second = SqlPublishTargets(desk.engine).rotate(mine, both.rotated, batch=3)

    assert (first.rotated, first.unchanged, first.failed, first.failed_ids) == (5, 0, 1, [lost])
    assert (second.rotated, second.unchanged, second.failed) == (0, 5, 1)
    newest = CredentialBox([SecretStr(NEW)])
    assert all(newest.decrypt(target_id, desk.row(target_id).credentials) for target_id in made)
    assert desk.row(lost).credentials == foreign


def test_rotating_is_for_operators_and_is_written_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every org; the exit code says whether something could not be decrypted."""
    target_id, reason = desk.add(), uuid4().hex
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", json.dumps([NEW, OLD]))

    result = CliRunner().invoke(targets, ["rotate", "--operator", "--reason", reason, "--json"])

    report = json.loads(result.stdout)
    assert report["rotated"] >= 1
    assert result.exit_code == (1 if report["failed"] else 0)
    assert CredentialBox([SecretStr(NEW)]).decrypt(target_id, desk.row(target_id).credentials)
    assert ("targets.rotate", reason, None) in desk.audited("*")


def test_the_whole_command(desk: Desk, database: Database, tmp_path: Path) -> None:
    """In a process of its own: credentials over standard input, known errors as one line and exit code 1."""

    def run(*arguments: str, stdin: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "app", "targets", *arguments, "--org", desk.org],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": database.worker_url,
                "PRESSROOM_HOME": str(tmp_path),
                "PRESSROOM_SECRET_KEYS": json.dumps([OLD]),
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    good = run(*desk.adding("--json"), stdin=json.dumps(SECRET))
    bad = run(*desk.adding(name="Other"), stdin='{"secret": "planted"}')

    assert (good.returncode, bad.returncode) == (0, 1), (good, bad)
    assert desk.row(UUID(json.loads(good.stdout)["target_id"])).name == "Blog"
    assert "Error: these are no credentials for webhook" in bad.stderr
    assert "planted" not in bad.stdout + bad.stderr
