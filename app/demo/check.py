"""Looks at what the demo's jobs really left: rows in the database, files, objects, links that work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import Engine, Row, func, select

from adapters.database.tables import content_ideas, domain_exports
from adapters.database.unit_of_work import UnitOfWork
from adapters.links import SignedLinks
from app.bootstrap.exports import export_base_dir, s3_bucket
from app.settings import Settings
from domain.content_idea_generation import ContentIdeaGeneration

from .sent import Sent

#: Endpoints on this machine answer at once.
_HTTP_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one job left."""

    sent: Sent
    count: int = 0
    size_bytes: int = 0
    took_s: float = 0.0
    #: In the fewest words that lead there.
    where: str = ""
    #: Downloads only: opens the file.
    link: str | None = None
    #: Empty when everything is as it should be.
    fault: str = ""


def check(sent: Sequence[Sent], engine: Engine, settings: Settings) -> list[Result]:
    """One result for each job, seen through row-level security as the org itself would.

    Parameters:
        sent: the jobs.
        engine: connects as the worker role.
        settings: of the workers.
    """
    return [
        _ideas(each, engine)
        if isinstance(each.job, ContentIdeaGeneration)
        else _export(each, engine, settings)
        for each in sent
    ]


def _ideas(sent: Sent, engine: Engine) -> Result:
    asked = sent.job.max_ideas if isinstance(sent.job, ContentIdeaGeneration) else 0
    ideas = content_ideas.c
    with UnitOfWork(engine, sent.site.org_id) as unit:
        found = unit.connection.scalar(
            select(func.count()).where(
                ideas.org_id == sent.site.org_id, ideas.idempotency_key == str(sent.job_id)
            )
        )
    fault = "" if found == asked else f"{found} ideas in the database instead of {asked}"
    return Result(sent=sent, count=found or 0, where="content_ideas", fault=fault)


def _export(sent: Sent, engine: Engine, settings: Settings) -> Result:
    exports = domain_exports.c
    with UnitOfWork(engine, sent.site.org_id) as unit:
        row = unit.connection.execute(
            select(domain_exports).where(exports.org_id == sent.site.org_id, exports.id == sent.job_id)
        ).one_or_none()
    if row is None or row.status != "completed":
        return Result(sent=sent, fault=f"the export is {row.status}: {row.error}" if row else "no row")
    where, link, size_bytes = _look(row, settings)
    fault = (
        "" if size_bytes == row.size_bytes > 0 else f"{size_bytes} bytes there instead of {row.size_bytes}"
    )
    return Result(
        sent=sent,
        count=row.row_count,
        size_bytes=size_bytes,
        took_s=(row.finished_at - row.started_at).total_seconds(),
        where=where,
        link=link,
        fault=fault,
    )


def _look(row: "Row[tuple[object, ...]]", settings: Settings) -> tuple[str, str | None, int]:
    """Where a person finds the file, the link if there is one, and the size of what is there."""
    name = row.location.rpartition("/")[2]
    if row.destination == "local":
        path = export_base_dir(settings) / row.location
        return str(settings.home / "exports" / row.location), None, path.stat().st_size
    if row.destination == "s3":
        bucket, _, key = row.location.removeprefix("s3://").partition("/")
        return f"s3://{bucket}/.../{name}", None, s3_bucket(settings, bucket).size_bytes(key)
    links = SignedLinks(settings.public_url or "", settings.secret_keys)
    link = links.link(row.location, datetime.now(UTC) + timedelta(days=settings.download_expiry_days))
    reply = httpx.get(link, timeout=_HTTP_TIMEOUT_S)
    return f"link to {name}", link, len(reply.raise_for_status().content)
