"""The servers a platform stands on: the user's own where named, embedded ones otherwise; migrated, with a key."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.database.migrate import upgrade
from app.embedded import running
from app.output import CommandError
from app.settings import Settings, SettingsError, variable


class AlreadyRunning(CommandError):
    """Another process runs the platform of this home."""


_SERVERS = ("database_url", "database_owner_url", "redis_url")


@contextmanager
def platform(settings: Settings) -> Iterator[dict[str, object]]:
    """Servers that are up, with an up-to-date schema; yields the settings that lead there, by field name.

    Parameters:
        settings: what this process was told (`load_settings(run_file=False)`).

    Raises:
        AlreadyRunning: another process runs the platform of this home.
        SettingsError: only some of the servers are named.
        EmbeddedServerError: an embedded server does not start.
        DatabaseUnavailable: a named database cannot be migrated.
    """
    with _only_one(settings.home):
        yield from _platform(settings)


def _platform(settings: Settings) -> Iterator[dict[str, object]]:
    given = {field: getattr(settings, field) for field in _SERVERS}
    missing = [variable(field) for field, url in given.items() if url is None]
    if not missing:
        values = {field: url.get_secret_value() for field, url in given.items()}
        yield _ready(settings, values)
    elif len(missing) < len(_SERVERS):
        raise SettingsError(
            f"{', '.join(missing)} missing: name all three servers, or none to use embedded ones"
        )
    else:
        with running(settings.home, redis_server=settings.redis_server) as servers:
            values = {
                "database_url": servers.database_url(),
                "database_owner_url": servers.database_owner_url(),
                "redis_url": servers.redis_url,
            }
            yield _ready(settings, values)


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two platforms in one home would work each other's jobs, each with its own settings."""
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    with (home / "platform.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"the platform of {home} is running already; stop it first, or set {variable('home')} to another folder"
            ) from None
        yield


def _ready(settings: Settings, values: dict[str, str]) -> dict[str, object]:
    upgrade(values["database_owner_url"])
    keys = [key.get_secret_value() for key in settings.secret_keys]
    return {**values, "secret_keys": keys or [_own_key(settings.home / "secret_key")]}


def _own_key(path: Path) -> str:
    """The key of this home; made once, so that links outlive a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text()
