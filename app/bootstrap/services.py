"""The jobs' handlers, wired to their adapters."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import httpx

from adapters.database.engine import create_engine
from adapters.job_board import JobBoard
from app.settings import Settings, SettingsError
from domain.content_idea_generation import ContentIdeaGeneration, IdeaBatch
from domain.database_maintenance import MaintenanceReport
from domain.domain_export import DomainExport, ExportOutcome

from .exports import domain_export
from .ideas import content_idea_generation
from .maintenance import database_maintenance
from .redis import NAMESPACE, redis_client
from .surroundings import surroundings_of


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
    surroundings = surroundings_of(JobBoard(closing.enter_context(redis_client(settings)), prefix=NAMESPACE))
    http = closing.enter_context(httpx.Client())
    return Services(
        content_idea_generation=content_idea_generation(settings, engine, surroundings, http),
        domain_export=domain_export(settings, engine, surroundings),
        database_maintenance=database_maintenance(settings, engine, surroundings),
        close=closing.close,
    )
