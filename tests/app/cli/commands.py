"""Commands of the control API, run on real servers as a person or a script runs them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import typer
from sqlalchemy import Engine, select
from typer.testing import CliRunner, Result

from adapters.database.tables import audit_log
from adapters.database.unit_of_work import SystemUnitOfWork

#: GNU readline leaves COLUMNS in the environment of whatever process loads it.
NO_TERMINAL: dict[str, str | None] = {"COLUMNS": None}

#: Who calls in a way that is a mistake: by the name of the mistake.
MISTAKEN_CALLERS: dict[str, tuple[str, ...]] = {
    "nobody": (),
    "no reason": ("--operator",),
    "blank reason": ("--operator", "--reason", " "),
    "both": ("--org", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "--operator", "--reason", "ticket"),
    "no org": ("--org", "acme"),
}


@dataclass(frozen=True)
class Commands:
    """The command line on real servers, for one org."""

    engine: Engine
    org_id: UUID
    #: Another org.
    other_id: UUID

    def run(self, app: typer.Typer, *arguments: str, as_: Sequence[str] | None = None) -> Result:
        """Run a command, by default for the org."""
        whom = ("--org", str(self.org_id)) if as_ is None else as_
        return CliRunner(env=NO_TERMINAL).invoke(app, [*arguments, *whom])

    def json(self, app: typer.Typer, *arguments: str, as_: Sequence[str] | None = None) -> Any:
        """What it prints for scripts."""
        result = self.run(app, *arguments, "--json", as_=as_)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def audited(self, action: str, target: str) -> list[tuple[str | None, UUID | None]]:
        """Reasons and orgs of what was done to something."""
        columns = audit_log.c
        query = select(columns.reason, columns.org_id).where(
            columns.action == action, columns.target == target
        )
        with SystemUnitOfWork(self.engine) as unit:
            return [(reason, org_id) for reason, org_id in unit.connection.execute(query)]


def as_operator(reason: str = "incident 12") -> tuple[str, ...]:
    """Options of an operator."""
    return "--operator", "--reason", reason
