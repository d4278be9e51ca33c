"""Dead letters of one org, and the commands on them, for tests."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, select
from typer.testing import CliRunner, Result

from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.tables import audit_log
from adapters.database.unit_of_work import SystemUnitOfWork
from app.cli.dlq import dlq
from middleware.dead_letters.letter import DeadLetter
from tests.app.cli.commands import NO_TERMINAL
from tests.databases import Database
from tests.middleware.dead_letters.sample_letters import a_letter
from tests.tenants import Tenant

#: Why an org's caller changes anything.
WHY = ("--reason", "ticket 4711")


@dataclass(frozen=True)
class Desk:
    """The command line on a real database, and the letters there."""

    store: SqlDeadLetters[DeadLetter]
    engine: Engine
    org: str

    @classmethod
    def at(
        cls, database: Database, engine: Engine, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> "Desk":
        """A desk for one org, on a database that the settings name."""
        monkeypatch.setenv("DATABASE_URL", database.worker_url)
        return cls(SqlDeadLetters(engine, DeadLetter.from_record), engine, str(tenant.org_id))

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
