"""Exports to download: kept in the platform's object store, behind a link that expires."""

from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

from adapters.net.links import Links
from adapters.storage.object_store import ObjectStore
from domain.domain_export import DomainExport
from domain.export_ports import Delivery

from .formats import FILE_KINDS


@dataclass(frozen=True)
class Downloads:
    """Keeps each file under `exports/<org_id>/<export_id>.<ext>`: no two exports share a key.

    Parameters:
        store: the platform's object store.
        links: makes the link to an object.
    """

    store: ObjectStore
    links: Links

    def deliver(self, export_id: UUID, job: DomainExport, source: BinaryIO, expires_at: datetime) -> Delivery:
        """Store the file.

        Raises:
            StorageUnavailable, AuthFailed: the store did not take it; nothing is left there.
        """
        kind = FILE_KINDS[job.format]
        key = _key(export_id, job)
        self.store.put(
            key,
            source,
            {
                "Content-Type": kind.media_type,
                "Content-Disposition": f'attachment; filename="{kind.download_name(export_id)}"',
            },
        )
        return Delivery(location=key, link=self.links.link(key, expires_at))

    def discard(self, export_id: UUID, job: DomainExport) -> None:
        """Remove the file, if there is one."""
        self.store.delete(_key(export_id, job))


def _key(export_id: UUID, job: DomainExport) -> str:
    return f"exports/{job.org_id}/{export_id}.{FILE_KINDS[job.format].extension}"
