"""What pages tell people to type is understood: each command is there, with the options that are shown."""

import re
import shlex
from collections.abc import Iterator

import pytest
import typer.main

from app.cli.root import cli
from tests.docs.blocks import ROOT, pages

ROOT_COMMAND = typer.main.get_command(cli)

#: Typed after these.
_PROGRAM = re.compile(r"^\$ (?:\.venv/bin/)?(?:pressroom|python -m app) (?P<rest>.+)$")


def commands() -> Iterator[tuple[str, str]]:
    """Pages and their command lines, those that go on over several lines in one piece."""
    for page in pages():
        text = (ROOT / page).read_text().replace("\\\n", " ")
        for row in text.splitlines():
            typed = _PROGRAM.match(row)
            if typed:
                yield page, typed["rest"]


@pytest.mark.parametrize(("page", "row"), list(commands()))
def test_a_command_that_a_page_shows_is_understood(page: str, row: str) -> None:
    """Its name, and each of its options."""
    words = shlex.split(row.split("<<")[0], comments=True)
    command = ROOT_COMMAND
    while words and hasattr(command, "commands"):
        name = words.pop(0).split("|")[0]  # `pause|resume` shows two at once
        assert name in command.commands, f"{page}: no command {name!r}"
        command = command.commands[name]

    known = {
        option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]
    }
    shown = {word.split("=")[0] for word in words if word.startswith("--")}
    assert shown <= known | {"--help"}, page
