"""What a leaked password of the worker's login can do: nothing that concerns more than the org it names.

Each attempt is made on the connection of `DATABASE_URL`. Refused is what raises, changes nothing, or shows nothing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import psycopg

from app.settings import load_settings
from tests.cases.kit import in_short, outcome, verdict
from tests.cases.platforms import Platform, servers_up

#: How many of the attempts succeed.
SUCCEED = 0

SYSTEM = "SET ROLE pressroom_system"
#: In place of what the role may not see, PostgreSQL shows this.
HIDDEN = "<insufficient privilege>"


def _attempts(own: str, other: str) -> dict[str, tuple[str, ...]]:
    """By name, statements of one transaction."""
    mine = f"SELECT set_config('app.org', '{own}', true)"
    moved = f"UPDATE content_items SET org_id = '{other}'"
    return {
        "no org: read content": ("SELECT title FROM content_items",),
        "another org: read content": (mine, f"SELECT title FROM content_items WHERE org_id = '{other}'"),
        "another org: does it exist": (mine, f"SELECT name FROM orgs WHERE id = '{other}'"),
        "another org: give it a row": (mine, moved),
        "update the audit log": ("UPDATE audit_log SET reason = 'x'",),
        "delete the audit log": ("DELETE FROM audit_log",),
        "truncate the audit log": ("TRUNCATE audit_log",),
        "as system: read all": (SYSTEM, "SELECT title FROM content_items"),
        "as system: delete the audit log": (SYSTEM, "DELETE FROM audit_log"),
        "as system: update the audit log": (SYSTEM, "UPDATE audit_log SET reason = 'x'"),
        "as system: delete domains": (SYSTEM, "DELETE FROM content_items", "DELETE FROM domain_registry"),
        "as system: forge an audit row": (
            SYSTEM,
            f"INSERT INTO audit_log (org_id, actor, action, target) VALUES ('{other}', 'ann', 'x', 'y')",
        ),
        "as owner": ("SET ROLE pressroom_owner",),
        "make a table": ("CREATE TABLE x (a int)",),
        "read a file": ("SELECT pg_read_file('/etc/passwd')",),
        "run a program": ("COPY (SELECT 1) TO PROGRAM 'id'",),
        "install an extension": ("CREATE EXTENSION dblink",),
        "see others' queries": ("SELECT query FROM pg_stat_activity WHERE usename <> current_user",),
        "change the schema's number": ("UPDATE alembic_version SET version_num = 'x'",),
    }


def main() -> list[str]:
    """What is wrong."""
    with servers_up() as platform:
        own, other = platform.new_tenant(contents=1), platform.new_tenant(contents=1)
        _audited(platform)
        url = load_settings(run_file=False).database_url
        if url is None:
            raise RuntimeError("no database is named")
        succeeded = []
        with psycopg.connect(url.get_secret_value()) as connection:
            for name, statements in _attempts(str(own.org_id), str(other.org_id)).items():
                answer = outcome(lambda each=statements: _done(connection, each))  # type: ignore[misc]
                connection.rollback()
                if isinstance(answer, Exception) or not answer:
                    print(f"{name}: refused {in_short(answer)[:90]}")
                else:
                    print(f"{name}: OK, {in_short(answer)}")
                    succeeded.append(name)
    return succeeded if len(succeeded) > SUCCEED else []


def _done(connection: "psycopg.Connection[tuple[object, ...]]", statements: tuple[str, ...]) -> str:
    """What the last of them did or showed; empty for nothing."""
    for statement in statements:
        cursor = connection.execute(statement.encode())
    if cursor.description is not None:
        rows = [row for row in cursor.fetchall() if HIDDEN not in row]
        return f"{len(rows)} rows shown" if rows else ""
    if cursor.rowcount == 0:
        return ""
    return cursor.statusmessage or "done"


def _audited(platform: Platform) -> None:
    platform.database.execute(
        "INSERT INTO audit_log (actor, action, target, reason) VALUES ('ann', 'jobs.list', 'x', 'a case')"
    )


if __name__ == "__main__":
    verdict(main)
