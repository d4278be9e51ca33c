"""What the command line said until 0.2 still works, and says what it is now."""

import pytest
import typer
from typer.testing import CliRunner

from app.cli.deprecated import JOB_DETAILS, WORKER, answers_to, with_old_names


def test_a_field_has_its_new_name_beside_the_old(capsys: pytest.CaptureFixture[str]) -> None:
    """Within records, too; a time is ISO 8601 beside its number. One line says which go, and when."""
    details = {
        "id": "j",
        "attempts": [{"id": "a", "message_id": "j"}],
        "why": {"id": "j", "reasons": [{"since_ms": 1_500}]},
        "result": {"id": 7},
    }

    renamed = with_old_names(details, JOB_DETAILS)

    assert isinstance(renamed, dict)
    assert (renamed["message_id"], renamed["id"], renamed["result"]) == ("j", "j", {"id": 7})
    assert renamed["attempts"] == [{"attempt_id": "a", "id": "a", "message_id": "j"}]
    (reason,) = renamed["why"]["reasons"]
    assert (reason["since"].isoformat(), reason["since_ms"]) == ("1970-01-01T00:00:01.500000+00:00", 1_500)
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith("Old names in this JSON go in 0.3: id (now message_id)")


def test_a_new_name_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Of workers both names have been printed before."""
    renamed = with_old_names({"in_flight": [{"org": "o"}], "in_hand": [{"org": "o"}]}, WORKER)

    assert renamed == {"in_flight": [{"org_id": "o", "org": "o"}], "in_hand": [{"org": "o"}]}
    assert "in_hand (now in_flight)" in capsys.readouterr().err


def test_a_group_answers_to_its_old_name() -> None:
    """Which is not listed."""
    app, group = typer.Typer(no_args_is_help=True), typer.Typer(name="schedules")

    @group.command("list")
    def list_() -> None:
        print("listed")  # noqa: T201

    @group.command("show")
    def show() -> None:
        print("shown")  # noqa: T201

    app.add_typer(group)
    answers_to(app, group, "schedule", "schedules")

    result = CliRunner().invoke(app, ["schedule", "list"])

    assert (result.stdout, result.stderr) == (
        "listed\n",
        "`schedule` goes in 0.3; it is `schedules` now.\n",
    )
    assert " schedule " not in CliRunner().invoke(app, []).output
