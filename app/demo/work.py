"""What the demo asks for: ideas and exports of every kind, for every domain."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice, product
from typing import get_args
from uuid import UUID

from actors import content_idea_generation, domain_export
from adapters.exports.formats import FILE_KINDS
from domain.content_idea_generation import ContentIdeaGeneration
from domain.domain_export import Destination, DomainExport, Download, Format, LocalFile, S3Object
from domain.ideas import ContentType

from .seed import Site
from .sent import Sent

#: Ideas asked for, by turns; 250 take three INSERTs.
IDEA_COUNTS = (10, 250, 25, 100)
EXPORTS_PER_SITE = 2


def send_all(sites: Sequence[Site], bucket: str) -> list[Sent]:
    """Send one job of ideas and two exports for each domain; every format meets every destination.

    Parameters:
        sites: what was seeded.
        bucket: of the S3-compatible server.
    """
    sent = []
    exports = _exports(sites, bucket)
    for site, content_type, count in zip(
        sites, cycle(get_args(ContentType)), cycle(IDEA_COUNTS), strict=False
    ):
        ideas = ContentIdeaGeneration(
            org_id=site.org_id,
            domain_id=site.domain_id,
            keywords=tuple(site.keywords[:5]),
            content_type=content_type,
            max_ideas=count,
        )
        message = content_idea_generation.send(ideas)
        sent.append(_sent(message.message_id, message.actor_name, message.queue_name, site, ideas))
        for export in islice(exports, EXPORTS_PER_SITE):
            message = domain_export.send(export)
            sent.append(_sent(message.message_id, message.actor_name, message.queue_name, site, export))
    return sent


def _sent(
    message_id: str, actor: str, queue: str, site: Site, job: ContentIdeaGeneration | DomainExport
) -> Sent:
    return Sent(job_id=UUID(message_id), actor=actor, queue=queue, site=site, job=job)


def _exports(sites: Sequence[Site], bucket: str) -> Iterator[DomainExport]:
    """Two for each site, one after the other; the twelve pairs of format and destination take turns."""
    pairs = cycle(product(get_args(Format), ("download", "local", "s3")))
    for site in sites:
        for kind, destination in islice(pairs, EXPORTS_PER_SITE):
            yield DomainExport(
                org_id=site.org_id,
                domain_id=site.domain_id,
                format=kind,
                destination=_destination(
                    destination, site, f"{site.host}.{FILE_KINDS[kind].extension}", bucket
                ),
            )


def _destination(kind: str, site: Site, name: str, bucket: str) -> Destination:
    if kind == "local":
        return LocalFile(path=name)
    if kind == "s3":
        return S3Object(bucket=bucket, key=f"{site.org_id}/{name}")
    return Download()
