"""Exports rows of 10 KB as CSV to a bucket and prints the peak of its own memory, in KiB.

Run as `python -m tests.adapters.exports.memory_probe <endpoint> <bucket> <rows>`.
"""

import resource
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

from pydantic import SecretStr

from adapters.exports import WRITERS
from adapters.exports.s3_buckets import S3Buckets
from adapters.exports.spool import Spool
from adapters.storage.object_store import S3Options, open_store
from domain.domain_export import DomainExport, S3Object
from domain.export_records import ContentRow, ExportHeader
from domain.export_size import SizeLimit
from domain.limits import GIB
from tests.adapters.exports.samples import NOW

#: Bytes of one body.
BODY_BYTES = 10_000


def main(endpoint_url: str, bucket: str, rows: int) -> None:
    """Write to a spool, deliver, and tell."""
    options = S3Options(
        endpoint_url=endpoint_url,
        access_key_id="id",
        secret_access_key=SecretStr("secret"),
        allow_http=True,
    )
    export_id, org_id = uuid4(), uuid4()
    target = S3Object(bucket=bucket, key=f"{export_id}.csv")
    job = DomainExport(org_id=org_id, domain_id=uuid4(), format="csv", destination=target)
    with Spool()() as spool:
        sink = SizeLimit(spool, GIB)
        writer = WRITERS["csv"](sink)
        writer.begin(
            ExportHeader(
                version=1, export_id=export_id, domain_id=job.domain_id, domain_name="d", exported_at=NOW
            )
        )
        writer.content(_rows(rows))
        writer.finish()
        spool.seek(0)
        buckets = S3Buckets([bucket], lambda name: open_store(f"s3://{name}", options))
        buckets.deliver(export_id, job, target, spool)
    sys.stdout.write(f"{sink.size_bytes} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")


def _rows(count: int) -> Iterator[ContentRow]:
    for number in range(count):
        yield ContentRow(
            id=UUID(int=number),
            title="title",
            body=f"{number:010}" * (BODY_BYTES // 10),
            content_type="article",
            status="published",
            url=None,
            created_at=NOW,
            published_at=None,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
