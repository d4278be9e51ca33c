"""What holds for every command of the control API."""

import itertools
from uuid import uuid4

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from app.cli.breakers import breakers
from app.cli.commands import LOOKING, caller_of
from app.cli.jobs import jobs
from app.cli.orgs import orgs
from app.cli.queues import queues
from app.cli.root import cli
from app.cli.workers import workers
from app.control import Operator, OrgCaller
from app.output import readable
from app.settings import SettingsError, load_settings
from tests.app.cli.commands import MISTAKEN_CALLERS

APPS: dict[str, tuple[typer.Typer, dict[str, tuple[str, ...]]]] = {
    "jobs": (
        jobs,
        {
            "list": (),
            "show": ("x",),
            "why": ("x",),
            "waiting": (),
            "priority": ("x", "5"),
            "enqueue": ("domain_export", "{}"),
            "cancel": ("x",),
            "requests": (),
            "withdraw": ("x",),
        },
    ),
    "breakers": (
        breakers,
        {"list": (), "show": ("ai",), "open": ("ai",), "close": ("ai",), "reset": ("ai",)},
    ),
    "queues": (queues, {"list": (), "show": ("x",), "lanes": ("x",), "clean": ("x",)}),
    "orgs": (orgs, {"list": (), "show": ()}),
    "workers": (workers, {"list": (), "quiet": ("x",), "resume": ("x",)}),
}
COMMANDS = {
    f"{name} {command}": (app, (command, *arguments))
    for name, (app, commands) in APPS.items()
    for command, arguments in commands.items()
}
EVERY_COMMAND = pytest.mark.parametrize(("app", "arguments"), COMMANDS.values(), ids=COMMANDS)


@EVERY_COMMAND
def test_every_command_explains_itself(app: typer.Typer, arguments: tuple[str, ...]) -> None:
    """`--help` ends with 0, and with an example."""
    result = CliRunner().invoke(app, [arguments[0], "--help"])

    assert result.exit_code == 0
    assert "Example" in result.output
    assert "--org" in result.output


@pytest.mark.parametrize("name", APPS)
def test_the_command_lists_them(name: str) -> None:
    """With what they are for."""
    assert f" {name} " in CliRunner().invoke(cli, []).output


@pytest.mark.parametrize(
    ("command", "mistake"),
    list(itertools.product(COMMANDS, MISTAKEN_CALLERS)),
    ids=lambda each: each,
)
def test_a_command_has_to_be_reported_who_calls(command: str, mistake: str) -> None:
    """One org, or an operator with a reason: anything else is a mistake, exit code 2."""
    app, arguments = COMMANDS[command]

    result = CliRunner().invoke(app, [*arguments, *MISTAKEN_CALLERS[mistake]])

    assert result.exit_code == 2, result.exception


@pytest.mark.parametrize(
    "command",
    [
        *("jobs enqueue", "jobs priority", "jobs cancel", "jobs withdraw"),
        *("breakers open", "breakers close", "breakers reset"),
        *("queues clean", "workers quiet", "workers resume"),
    ],
)
def test_an_org_says_why_it_changes_anything(command: str) -> None:
    """The audit log keeps it; without, exit code 2."""
    app, arguments = COMMANDS[command]

    result = CliRunner().invoke(app, [*arguments, "--org", str(uuid4())])

    assert result.exit_code == 2
    assert "--reason" in result.output


def test_options_make_a_caller() -> None:
    """Who it is comes from the system; an org that only looks need not say why."""
    org_id = uuid4()

    looking = caller_of(org_id, False, None, changes=False)
    changing = caller_of(org_id, False, " ticket ", changes=True)
    operator = caller_of(None, True, "incident", changes=False)

    assert isinstance(looking, OrgCaller)
    assert (looking.org_id, looking.reason) == (org_id, LOOKING)
    assert isinstance(changing, OrgCaller)
    assert (changing.reason, bool(changing.who)) == ("ticket", True)
    assert isinstance(operator, Operator)


def test_values_are_readable() -> None:
    """Nothing is an empty place, and data is laid out."""
    assert [readable(each) for each in (None, 7, "ä", {"a": "ä"})] == ["", "7", "ä", '{\n  "a": "ä"\n}']


@pytest.mark.usefixtures("_nowhere")
@EVERY_COMMAND
def test_without_a_database_it_says_what_to_set(app: typer.Typer, arguments: tuple[str, ...]) -> None:
    """As every other command."""
    result = CliRunner().invoke(app, [*arguments, "--operator", "--reason", "why"])

    assert isinstance(result.exception, SettingsError)


@pytest.fixture
def _nowhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))


def every_help() -> dict[str, str]:
    """The last line of each command's help, by what is typed; those of hidden ones left out."""
    found: dict[str, str] = {}

    def walk(path: str, group: TyperGroup) -> None:
        for name, each in group.commands.items():
            inner = f"{path} {name}".strip()
            if isinstance(each, TyperGroup):
                walk(inner, each)
            elif not each.hidden:
                found[inner] = each.epilog or ""

    root = typer.main.get_command(cli)
    assert isinstance(root, TyperGroup)
    root.commands.pop("schedule")  # the old name of `schedules`
    walk("", root)
    return found


HELP = every_help()


@pytest.mark.parametrize("path", sorted(HELP.keys() - {"probe"}))  # whose help is its own
def test_every_help_has_an_example(path: str) -> None:
    """That names the command itself."""
    assert f": pressroom {path}" in HELP[path]


def test_the_reason_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PRESSROOM_REASON stands, the platform starts."""
    monkeypatch.setenv("PRESSROOM_REASON", "incident 12")

    assert load_settings()
    assert isinstance(caller_of(None, True, "incident 12", changes=True), Operator)
