"""Wires `domain_export`, and the object store and links that the web endpoint shares with it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from adapters.database.exports import SqlExports
from adapters.database.transactions import SqlTransactions
from adapters.exports import WRITERS
from adapters.exports.csv_writer import CsvWriter
from adapters.exports.destinations import ExportDestinations
from adapters.exports.downloads import Downloads
from adapters.exports.local_files import LocalFiles
from adapters.exports.s3_buckets import S3Buckets
from adapters.exports.spool import Spool
from adapters.net.links import SignedLinks, StoreLinks
from adapters.storage.object_store import ObjectStore, S3Options, open_store
from app.settings import Settings
from domain.domain_export import DomainExport, ExportOutcome, Format
from domain.errors import InvalidInput
from domain.export_handler import ExportDomain
from domain.export_ports import ExportWriter
from domain.export_size import Sink

from .run import GuardedRun

#: Seconds that an export whose time is up still gets, to write how it ended.
CLOSING_S = 5.0


def domain_export(settings: Settings, engine: Engine) -> Callable[[DomainExport], ExportOutcome]:
    """The handler, with the destinations that the settings allow."""
    destinations = export_destinations(settings)
    csv_writer = partial(CsvWriter, byte_order_mark=settings.csv_byte_order_mark)
    writers: Mapping[Format, Callable[[Sink], ExportWriter]] = {**WRITERS, "csv": csv_writer}

    def handle(job: DomainExport) -> ExportOutcome:
        run = GuardedRun()
        export = ExportDomain(
            run=run,
            transactions=SqlTransactions(engine, SqlExports, run.remaining_s),
            closing=SqlTransactions(engine, SqlExports, lambda: CLOSING_S),
            writers=writers,
            destinations=destinations,
            spool=Spool(),
            limits=settings.limits,
            clock=_now,
        )
        return export(job)

    return handle


def export_destinations(settings: Settings) -> ExportDestinations:
    """Every place an export may go."""
    links = StoreLinks(store=object_store(settings), signed=_OwnLinks(settings), clock=_now)
    return ExportDestinations(
        downloads=Downloads(links.store, links),
        local_files=LocalFiles(export_base_dir(settings)),
        s3_buckets=S3Buckets(settings.s3_export_targets, lambda bucket: s3_bucket(settings, bucket)),
    )


def export_base_dir(settings: Settings) -> Path:
    """The folder below which exports to a path stay."""
    return settings.export_base_dir or settings.home.resolve() / "exports"


def object_store(settings: Settings) -> ObjectStore:
    """Where downloads are kept."""
    url = settings.object_store_url or (settings.home.resolve() / "objects").as_uri()
    return open_store(url, s3_options(settings))


def s3_bucket(settings: Settings, bucket: str) -> ObjectStore:
    """A bucket of the S3-compatible store that the settings name."""
    return open_store(f"s3://{bucket}", s3_options(settings))


def s3_options(settings: Settings) -> S3Options:
    """How to reach the S3-compatible store that the settings name."""
    endpoint = settings.s3_endpoint_url
    return S3Options(
        endpoint_url=endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
        # Whoever writes http:// into the endpoint has decided it.
        allow_http=(endpoint or "").startswith("http://"),
    )


class _OwnLinks:
    """The application's links, made when one is needed: other jobs and destinations do without a key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def link(self, key: str, expires_at: datetime) -> str:
        if self._settings.public_url is None:
            raise InvalidInput(
                "no address for download links; set PRESSROOM_PUBLIC_URL, or start `python -m app up`"
            )
        return SignedLinks(self._settings.public_url, self._settings.secret_keys).link(key, expires_at)


def _now() -> datetime:
    return datetime.now(UTC)
