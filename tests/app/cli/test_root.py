"""The command line: what it prints for people and for scripts, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.root import cli
from app.settings import Settings, SettingsError, variable
from tests.databases import Database


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """Run one command."""
    return CliRunner().invoke(cli, arguments)


def test_without_a_command_it_teaches() -> None:
    """Every command with its purpose."""
    result = run()

    for command in ("demo", "up", "worker", "probe", "migrate", "settings", "doctor", "send", "web"):
        assert f" {command} " in result.output


@pytest.mark.parametrize("command", ["demo", "up", "migrate", "settings", "doctor", "send", "web"])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` ends with 0."""
    assert run(command, "--help").exit_code == 0


def test_settings_are_listed_for_scripts_without_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variable, value, whether it was set, and what it is for."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", '["hunter2"]')
    monkeypatch.setenv("PRESSROOM_MAX_CSV_ROWS", "7")

    result = run("settings", "--json")

    listed = {row["variable"]: row for row in json.loads(result.output)}
    assert listed.keys() == {variable(name) for name in Settings.model_fields}
    assert listed["PRESSROOM_MAX_CSV_ROWS"]["value"] == 7
    assert listed["PRESSROOM_MAX_CSV_ROWS"]["set"] is True
    assert listed["DATABASE_URL"]["value"] == "postgresql://me:***@host/db"
    assert "hunter2" not in result.output


def test_migrate_goes_up_and_down(
    new_database: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the owner role, and the doctor agrees."""
    monkeypatch.setenv("DATABASE_OWNER_URL", new_database().owner_url)

    up, down = run("migrate"), run("migrate", "base", "--down")

    assert (up.exit_code, down.exit_code) == (0, 0), (up.output, down.output)
    assert "The schema is at head" in up.output
    assert "The schema is at base" in down.output


def test_migrate_without_an_owner_says_what_to_set() -> None:
    """The worker's URL is not enough."""
    assert isinstance(run("migrate").exception, SettingsError)


def test_doctor_prints_json_and_fails_when_something_is_broken() -> None:
    """Scripts read the findings and the exit code."""
    result = run("doctor", "--json")

    assert result.exit_code == 1
    assert {row["verdict"] for row in json.loads(result.output)} >= {"ok", "broken"}
