"""Every place a finished export can go, behind the domain's one port."""

from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

from domain.domain_export import DomainExport, Download, LocalFile, S3Object
from domain.export_ports import Delivery

from .downloads import Downloads
from .local_files import LocalFiles
from .s3_buckets import S3Buckets


@dataclass(frozen=True, kw_only=True)
class ExportDestinations:
    """`domain.export_ports.Destinations`, by the kind of destination a job names.

    Parameters:
        downloads: the platform's object store.
        local_files: the folder of this worker.
        s3_buckets: the buckets this deployment lets exports go to.

    Example:
        >>> destinations = ExportDestinations(
        ...     downloads=Downloads(store, links),
        ...     local_files=LocalFiles(Path("/var/lib/pressroom/exports")),
        ...     s3_buckets=S3Buckets(["exports/{org_id}/"], lambda bucket: open_store(f"s3://{bucket}", options)),
        ... )
    """

    downloads: Downloads
    local_files: LocalFiles
    s3_buckets: S3Buckets

    def check(self, job: DomainExport) -> None:
        """Refuse an unsafe or unknown destination; nothing is written."""
        match job.destination:
            case Download():
                return
            case LocalFile(path=path):
                self.local_files.check(job.org_id, path)
            case S3Object() as target:
                self.s3_buckets.check(job.org_id, target)

    def deliver(self, export_id: UUID, job: DomainExport, source: BinaryIO, expires_at: datetime) -> Delivery:
        """Bring the file, from its first byte on, to the job's destination; all of it or nothing."""
        source.seek(0)
        match job.destination:
            case Download():
                return self.downloads.deliver(export_id, job, source, expires_at)
            case LocalFile(path=path):
                return Delivery(location=self.local_files.deliver(export_id, job.org_id, path, source))
            case S3Object() as target:
                return Delivery(location=self.s3_buckets.deliver(export_id, job, target, source))

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        """Remove what this export left at the job's destination, and nothing that another one left there."""
        match job.destination:
            case Download():
                self.downloads.discard(export_id, job)
            case LocalFile(path=path):
                self.local_files.discard(export_id, job.org_id, path, job.format)
            case S3Object() as target:
                self.s3_buckets.discard(export_id, job.org_id, target)
