"""Brings a database to a revision, and says what it lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError
from psycopg.errors import RaiseException
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from domain.errors import DatabaseUnavailable, InvalidInput

from .engine import psycopg_url

#: Where the revisions are.
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
#: Names our advisory lock among those of a database.
LOCK_KEY = 0x7072_6573_7372_6F6F
#: The oldest release that has what row-level security here is built on: `GRANT ... WITH INHERIT FALSE`.
OLDEST_SERVER = 16

#: Alembic keeps the migration that runs in variables of its module: one at a time in a process, whatever the database.
_ONE_IN_THIS_PROCESS = Lock()


def upgrade(owner_url: str, revision: str = "head") -> None:
    """Bring the database up to a revision, all of it or nothing. Safe when several do it at once.

    Parameters:
        owner_url: connects as the role that owns the tables; it needs CREATEROLE when the roles are missing.
        revision: where to stop. Default the newest.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
        InvalidInput: the URL is not PostgreSQL's, the server is too old, the revision is not known here, or the
            worker role would get around row-level security. The message says what to do.

    Example:
        >>> upgrade("postgresql://pressroom_owner@localhost/pressroom")
    """
    with _locked(owner_url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(owner_url: str, revision: str) -> None:
    """Take the database back to a revision, all the way or not at all; what the newer ones held is lost.

    Parameters:
        owner_url: as for `upgrade`.
        revision: where to stop; "base" is before the first. Roles stay: other databases may use them.

    Raises:
        DatabaseUnavailable, InvalidInput: as `upgrade`.
    """
    with _locked(owner_url) as connection:
        command.downgrade(_config(connection), revision)


def pending(owner_url: str) -> list[str]:
    """Revisions that the database lacks, oldest first.

    Parameters:
        owner_url: any role that may read `alembic_version` will do.

    Raises:
        DatabaseUnavailable, InvalidInput: as `upgrade`.
    """
    with _connection(owner_url) as connection:
        script = ScriptDirectory.from_config(_config(connection))
        applied = MigrationContext.configure(connection).get_current_heads()
        have = {each.revision for each in script.iterate_revisions(applied, "base")}
        return [each.revision for each in script.walk_revisions() if each.revision not in have][::-1]


@contextmanager
def _locked(owner_url: str) -> Iterator[Connection]:
    with _ONE_IN_THIS_PROCESS, _connection(owner_url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        yield connection


@contextmanager
def _connection(owner_url: str) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(
        psycopg_url(owner_url), poolclass=NullPool, connect_args={"application_name": "pressroom-migrations"}
    )
    try:
        with engine.begin() as connection:
            if (engine.dialect.server_version_info or (0,)) < (OLDEST_SERVER,):
                raise InvalidInput(f"PostgreSQL {OLDEST_SERVER} or newer is needed; this server is older")
            yield connection
    except OperationalError as error:
        raise DatabaseUnavailable(
            "the database could not be migrated; check that the server of DATABASE_OWNER_URL runs and accepts the role"
        ) from error
    except ProgrammingError as error:
        if isinstance(error.orig, RaiseException):  # a revision's own refusal says what to do
            refusal = error.orig.diag
            raise InvalidInput(f"{refusal.message_primary}; to mend it: {refusal.message_hint}") from error
        raise
    except (CommandError, RevisionError) as error:
        raise InvalidInput(
            f"{error}; a revision that is not known here is a newer build's: run that build, or name a known one"
        ) from error


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
