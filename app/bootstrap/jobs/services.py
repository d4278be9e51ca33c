"""The jobs' handlers, wired to their adapters."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import httpx

from adapters.database.engine import create_engine
from app.bootstrap.breakers import circuit_breakers
from app.bootstrap.redis import redis_client
from app.bootstrap.worker.outbox import build_outbox
from app.settings import Settings, SettingsError
from domain.content_idea_generation import ContentIdeaGeneration, IdeaBatch
from domain.content_scheduler import SchedulerReport
from domain.database_maintenance import MaintenanceReport
from domain.domain_export import DomainExport, ExportOutcome
from domain.domain_transfer import DomainTransfer, TransferOutcome
from domain.experiment_start import ExperimentStart, StartOutcome
from domain.feedback_ingest import FeedbackIngest, IngestOutcome
from domain.media_cleanup import CleanupReport
from domain.publish_execution import PublishExecution, PublishOutcome

from .content_idea_generation import content_idea_generation
from .content_scheduler import content_scheduler
from .database_maintenance import database_maintenance
from .domain_export import domain_export
from .domain_transfer import domain_transfer
from .experiment_start import experiment_start
from .feedback_ingest import feedback_ingest
from .media_cleanup import media_cleanup
from .publish_execution import publish_execution
from .publishers import site_publishers


@dataclass(frozen=True, kw_only=True)
class Services:
    """Every job's handler, ready to be called with its contract; a context that closes their connections.

    Example:
        >>> with build_services(load_settings()) as services:
        ...     services.domain_export(job)
    """

    content_idea_generation: Callable[[ContentIdeaGeneration], IdeaBatch]
    domain_export: Callable[[DomainExport], ExportOutcome]
    domain_transfer: Callable[[DomainTransfer], TransferOutcome]
    experiment_start: Callable[[ExperimentStart], StartOutcome]
    feedback_ingest: Callable[[FeedbackIngest], IngestOutcome]
    content_scheduler: Callable[[], SchedulerReport]
    publish_execution: Callable[[PublishExecution], PublishOutcome]
    database_maintenance: Callable[[], MaintenanceReport]
    media_cleanup: Callable[[], CleanupReport]
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
    sites = closing.enter_context(site_publishers(settings))
    return Services(
        content_idea_generation=content_idea_generation(settings, engine, http, breakers),
        domain_export=domain_export(settings, engine),
        domain_transfer=domain_transfer(engine),
        experiment_start=experiment_start(engine),
        feedback_ingest=feedback_ingest(settings, engine, http, breakers),
        content_scheduler=content_scheduler(settings, engine, build_outbox()),
        publish_execution=publish_execution(settings, engine, sites, breakers),
        database_maintenance=database_maintenance(settings, engine),
        media_cleanup=media_cleanup(settings, engine),
        close=closing.close,
    )
