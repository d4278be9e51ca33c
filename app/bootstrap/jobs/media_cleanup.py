"""Wires `media_cleanup`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine

from adapters.database.media import SqlMedia
from adapters.database.transactions import SqlSystemTransactions
from adapters.storage.media_store import ObjectMediaStore
from adapters.storage.object_store import open_store
from app.settings import Settings, SettingsError
from domain.media_cleanup import CleanUpMedia, CleanupReport

from .domain_export import s3_options
from .run import GuardedRun

#: An item that takes long is left to the next run. Bounds, too, how long a request goes on after its job was stopped.
STALLED_AFTER_S = 20.0
RETRIES = 1


def media_cleanup(settings: Settings, engine: Engine) -> Callable[[], CleanupReport]:
    """The handler, as the system role."""
    store = media_store(settings)

    def handle() -> CleanupReport:
        run = GuardedRun()
        clean_up = CleanUpMedia(
            run=run,
            transactions=SqlSystemTransactions(engine, SqlMedia, run.remaining_s),
            store=store,
            limits=settings.limits,
        )
        return clean_up()

    return handle


def media_store(settings: Settings) -> ObjectMediaStore:
    """Hot and cold storage of media files.

    Raises:
        SettingsError: one lies in the other, so that removing a hot copy might remove a cold one.
    """
    home = settings.home.resolve()
    hot = settings.media_store_url or (home / "media").as_uri()
    cold = settings.cold_store_url or (home / "cold").as_uri()
    if _within(hot, cold) or _within(cold, hot):
        raise SettingsError(
            "PRESSROOM_MEDIA_STORE_URL and PRESSROOM_COLD_STORE_URL lie one in the other; give each a folder, "
            "bucket or prefix of its own"
        )
    options = replace(s3_options(settings), stalled_after_s=STALLED_AFTER_S, retries=RETRIES)
    return ObjectMediaStore(open_store(hot, options), open_store(cold, options))


def _within(inner: str, outer: str) -> bool:
    """Whether every object of the one place is an object of the other."""
    return f"{_place(inner)}/".startswith(f"{_place(outer)}/")


def _place(url: str) -> str:
    """The same for all ways to write one place; the same as far as one place begins like another."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme == "file":
        return f"file:{Path(path).resolve()}".rstrip("/")
    return f"{parts.scheme}:{parts.hostname or ''}/{path.strip('/')}".rstrip("/")
