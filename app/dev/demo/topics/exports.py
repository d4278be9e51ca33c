"""Exports: every format meets every destination."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import cycle, islice, product
from typing import get_args
from uuid import UUID

import httpx
from sqlalchemy import Row, select

from actors import domain_export
from adapters.database.tables import domain_exports
from adapters.database.unit_of_work import UnitOfWork
from adapters.exports.formats import FILE_KINDS
from adapters.net.links import SignedLinks
from app.bootstrap.jobs.domain_export import export_base_dir, s3_bucket
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.domain_export import Destination, DomainExport, Download, Format, LocalFile, S3Object

EXPORTS_PER_SITE = 2
#: Endpoints on this machine answer at once.
HTTP_TIMEOUT_S = 10.0


def send(stage: Stage) -> list[Sent]:
    """Two for each domain, one after the other; the twelve pairs of format and destination take turns."""
    return [_send(stage, site, job) for site, job in asked(stage)]


def asked(stage: Stage) -> list[tuple[Site, DomainExport]]:
    """The exports of this run, each with its domain.

    No other run names the same files and objects: what a killed run has left in the queues is still worked, and the
    last export under a name is the one that stays.
    """
    pairs = cycle(product(get_args(Format), ("download", "local", "s3")))
    return [
        (site, _job(stage, site, kind, destination))
        for site in stage.sites
        for kind, destination in islice(pairs, EXPORTS_PER_SITE)
    ]


def _send(stage: Stage, site: Site, job: DomainExport) -> Sent:
    message = domain_export.send(job)
    look: Callable[[], Left] = partial(_look, stage, site, UUID(message.message_id))
    return sent(message, site, f"{job.format} to {job.destination.type}", look)


def _job(stage: Stage, site: Site, kind: Format, destination: str) -> DomainExport:
    name = f"{stage.now:%Y-%m-%dT%H-%M-%S.%f}/{site.host}.{FILE_KINDS[kind].extension}"
    return DomainExport(
        org_id=site.org_id,
        domain_id=site.domain_id,
        format=kind,
        destination=_destination(destination, site, name, stage.bucket),
    )


def _destination(kind: str, site: Site, name: str, bucket: str) -> Destination:
    if kind == "local":
        return LocalFile(path=name)
    if kind == "s3":
        return S3Object(bucket=bucket, key=f"{site.org_id}/{name}")
    return Download()


def _look(stage: Stage, site: Site, export_id: UUID) -> Left:
    exports = domain_exports.c
    with UnitOfWork(stage.engine, site.org_id) as unit:
        row = unit.connection.execute(
            select(domain_exports).where(exports.org_id == site.org_id, exports.id == export_id)
        ).one_or_none()
    if row is None or row.status != "completed":
        return Left(fault=f"the export is {row.status}: {row.error}" if row else "no row")
    where, link, size_bytes = _find(stage, row)
    right = size_bytes == row.size_bytes > 0
    return Left(
        count=row.row_count,
        size_bytes=size_bytes,
        took_s=(row.finished_at - row.started_at).total_seconds(),
        where=where,
        link=link,
        fault="" if right else f"{size_bytes} bytes there instead of {row.size_bytes}",
    )


def _find(stage: Stage, row: "Row[tuple[object, ...]]") -> tuple[str, str | None, int]:
    """Where a person finds the file, the link if there is one, and the size of what is there."""
    settings = stage.settings
    name = row.location.rpartition("/")[2]
    if row.destination == "local":
        path = export_base_dir(settings) / row.location
        return str(settings.home / "exports" / row.location), None, path.stat().st_size
    if row.destination == "s3":
        bucket, _, key = row.location.removeprefix("s3://").partition("/")
        return f"s3://{bucket}/.../{name}", None, s3_bucket(settings, bucket).size_bytes(key)
    links = SignedLinks(settings.public_url or "", settings.secret_keys)
    link = links.link(row.location, stage.now + timedelta(days=settings.download_expiry_days))
    reply = httpx.get(link, timeout=HTTP_TIMEOUT_S)
    return f"link to {name}", link, len(reply.raise_for_status().content)
