"""The jobs' handlers, wired to their adapters."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import httpx

from adapters.database.engine import create_engine
from app.settings import Settings, SettingsError
from domain.content_idea_generation import ContentIdeaGeneration, IdeaBatch
from domain.database_maintenance import MaintenanceReport
from domain.domain_export import DomainExport, ExportOutcome

from .breakers import circuit_breakers
from .exports import domain_export
from .ideas import content_idea_generation
from .maintenance import database_maintenance
from .redis import redis_client


@dataclass(frozen=True, kw_only=True)
class Services:
    """Every job's handler, ready to be called with its contract; a context that closes their connections.

    Example:
        >>> with build_services(load_settings()) as services:
        ...     services.domain_export(job)
    """

    content_idea_generation: Callable[[ContentIdeaGeneration], IdeaBatch]
    domain_export: Callable[[DomainExport], ExportOutcome]
    database_maintenance: Callable[[], MaintenanceReport]
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def build_services(settings: Settings) -> Services:
    """Wire every handler to its adapters. Connections are opened when first used.

    Raises:
        SettingsError: no database is named and no `up` is running.
    """
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    # At INFO it writes every URL down, and an address may hold a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    closing = ExitStack()
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=settings.worker_threads)
    closing.callback(engine.dispose)
    breakers = circuit_breakers(closing.enter_context(redis_client(settings)))
    http = closing.enter_context(httpx.Client())
    return Services(
        content_idea_generation=content_idea_generation(settings, engine, http, breakers),
        domain_export=domain_export(settings, engine),
        database_maintenance=database_maintenance(settings, engine),
        close=closing.close,
    )
