"""Platforms of a case's own: the servers alone, or all of `python -m app up`, and orgs on them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from uuid import UUID, uuid4

import psycopg

from app.embedded import DATABASE_NAME, postgres
from app.embedded.folders import find_server_folders
from app.run.servers import platform
from app.settings import as_environment, is_setting, load_settings
from tests.cases.kit import eventually
from tests.folders import open_folder
from tests.redis_server import other_server

ROOT = Path(__file__).resolve().parents[2]

#: Lets targets be on loopback.
ON_LOOPBACK: Mapping[str, object] = {
    "publish_allow_http": True,
    "publish_allowed_networks": ["127.0.0.0/8"],
}

_START_S, _STOP_S = 120.0, 90.0
_COMMAND_S = 60.0


class DoesNotStart(Exception):
    """`up` ended at once; the message is what it said."""


@dataclass(frozen=True)
class Tenant:
    """An org with one domain."""

    org_id: UUID
    domain_id: UUID
    contents: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class Platform:
    """A platform; this process's environment leads there, too."""

    home: Path
    #: As the superuser, who sees all rows, each statement for itself.
    database: "psycopg.Connection[tuple[object, ...]]"

    def app(
        self, *arguments: str, given: str = "", changed: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python -m app ...` to its end.

        Parameters:
            arguments: of the command.
            given: on its standard input. Default nothing.
            changed: variables on top of this process's.
        """
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env={**os.environ, **(changed or {})},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_S,
        )

    def one(self, query: str, *values: object) -> object:
        """The first column of the first row; None when there is none."""
        row = self.database.execute(query.encode(), values).fetchone()
        return None if row is None else row[0]

    def new_tenant(self, contents: int = 0) -> Tenant:
        """An org that nobody else uses.

        Parameters:
            contents: how many content items it has. Default 0.
        """
        tenant = Tenant(uuid4(), uuid4(), [uuid4() for _ in range(contents)])
        self.database.execute("INSERT INTO orgs (id, name) VALUES (%s, 'An org')", (tenant.org_id,))
        self.database.execute(
            "INSERT INTO domain_registry (org_id, id, host) VALUES (%s, %s, %s)",
            (tenant.org_id, tenant.domain_id, f"{tenant.domain_id}.example"),
        )
        for content_id in tenant.contents:
            self.database.execute(
                "INSERT INTO content_items (org_id, id, domain_id, title, body, content_type, status) "
                "VALUES (%s, %s, %s, 'A title', 'A body', 'article', 'published')",
                (tenant.org_id, content_id, tenant.domain_id),
            )
        return tenant

    def new_webhook(self, tenant: Tenant, address: str) -> UUID:
        """A publish target of a tenant's."""
        stored = self.app(
            *("targets", "add", "--org", str(tenant.org_id), "--domain", str(tenant.domain_id)),
            *("--name", "hook", "--adapter", "webhook", "--address", address, "--reason", "a case", "--json"),
            given='{"secret": "0123456789abcdef0123"}',
        )
        if stored.returncode:
            raise RuntimeError(stored.stdout + stored.stderr)
        return UUID(json.loads(stored.stdout)["target_id"])

    def new_intents(self, tenant: Tenant, target_id: UUID) -> list[UUID]:
        """Something to publish for each of its contents."""
        intents = []
        for content_id in tenant.contents:
            intents.append(uuid4())
            self.database.execute(
                "INSERT INTO publish_intents (org_id, id, domain_id, content_id, target_id, status) "
                "VALUES (%s, %s, %s, %s, %s, 'pending')",
                (tenant.org_id, intents[-1], tenant.domain_id, content_id, target_id),
            )
        return intents

    def status_of(self, intent_id: UUID) -> object:
        """Where a publish stands."""
        return self.one("SELECT status FROM publish_intents WHERE id = %s", intent_id)

    def begun(self, message_id: str, within_s: float) -> bool:
        """Wait for a job to begin; False when it does not in time."""
        query = "SELECT 1 FROM job_attempts WHERE message_id = %s"
        return eventually(lambda: self.one(query, message_id), within_s)

    def succeeded(self, message_id: str, within_s: float) -> bool:
        """Wait for a job to end well; False when it does not in time."""
        query = "SELECT 1 FROM job_attempts WHERE message_id = %s AND outcome = 'succeeded'"
        return eventually(lambda: self.one(query, message_id), within_s)


@contextmanager
def servers_up(**settings: object) -> Iterator[Platform]:
    """Migrated servers in a folder of their own, and nothing that works on them.

    Parameters:
        settings: by field name.
    """
    with open_folder() as home:
        _set(settings, home)
        with platform(load_settings(run_file=False)) as values:
            os.environ.update(as_environment(values))
            with _as_superuser(home) as database:
                yield Platform(home, database)


@contextmanager
def platform_up(**settings: object) -> Iterator[Platform]:
    """`python -m app up` in a folder of its own, ended by SIGTERM.

    Parameters:
        settings: by field name.

    Raises:
        DoesNotStart: it does not come up.
    """
    with open_folder() as home:
        _set(settings, home)
        log = home / "up.log"
        with log.open("w") as output:
            up = subprocess.Popen(
                [sys.executable, "-m", "app", "up"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            eventually(lambda: "Pressroom is up" in log.read_text() or up.poll() is not None, _START_S)
            if "Pressroom is up" not in log.read_text():
                raise DoesNotStart(log.read_text().strip())
            with _as_superuser(home) as database:
                yield Platform(home, database)
        finally:
            up.send_signal(SIGTERM)
            try:
                up.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                print("up does not stop")
                up.kill()
                up.wait()


def _set(settings: Mapping[str, object], home: Path) -> None:
    # What the shell says must not decide a case.
    for name in list(os.environ):
        if is_setting(name):
            del os.environ[name]
    program = other_server()
    server = {} if program is None else {"redis_server": str(program)}
    os.environ.update(as_environment({**server, **settings, "home": str(home)}))


@contextmanager
def _as_superuser(home: Path) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    url = postgres.url(find_server_folders(home), postgres.SUPERUSER, DATABASE_NAME)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
