"""Exports to S3-compatible buckets that the deployment allows."""

from collections.abc import Callable, Sequence
from typing import BinaryIO
from uuid import UUID

from adapters.storage.object_store import ObjectStore
from domain.domain_export import DomainExport, S3Object
from domain.errors import InvalidInput
from domain.export_paths import safe_segments

from .formats import FILE_KINDS

#: The label that tells whose an object is; S3 keeps it as `x-amz-meta-export-id`.
OWNER_LABEL = "export-id"


class S3Buckets:
    """Puts files into buckets.

    Parameters:
        targets: what exports may go to: `bucket`, or `bucket/prefix/`, in which `{org_id}` stands for the
            job's org. An entry without `{org_id}` lets every org write over every other's objects there.
        open_bucket: opens the store of a bucket; called once for each.

    Example:
        >>> S3Buckets(["exports/{org_id}/"], lambda bucket: open_store(f"s3://{bucket}", options))
    """

    def __init__(self, targets: Sequence[str], open_bucket: Callable[[str], ObjectStore]) -> None:
        self._targets = tuple(targets)
        self._open_bucket = open_bucket
        self._stores: dict[str, ObjectStore] = {}

    def check(self, org_id: UUID, target: S3Object) -> None:
        """Refuse a bucket or key that is not allowed.

        Raises:
            UnsafePath: the key could mean another one to some reader.
            InvalidInput: exports of this org may not go there.
        """
        safe_segments(target.key)
        if not any(_covers(entry, org_id, target) for entry in self._targets):
            raise InvalidInput(
                f"exports of this org may not go to s3://{target.bucket}/{target.key}; the deployment allows "
                "buckets and prefixes by PRESSROOM_S3_EXPORT_TARGETS, such as 'bucket/exports/{org_id}/'"
            )

    def deliver(self, export_id: UUID, job: DomainExport, target: S3Object, source: BinaryIO) -> str:
        """Store the file and say where, as `s3://bucket/key`. An object of the same key is replaced.

        Raises:
            StorageUnavailable, AuthFailed, InvalidInput: the store did not take it; nothing is left there.
        """
        self.check(job.org_id, target)
        kind = FILE_KINDS[job.format]
        headers = {
            "Content-Type": kind.media_type,
            "Content-Disposition": f'attachment; filename="{kind.download_name(export_id)}"',
            OWNER_LABEL: str(export_id),
        }
        self._store(target.bucket).put(target.key, source, headers)
        return f"s3://{target.bucket}/{target.key}"

    def discard(self, export_id: UUID, org_id: UUID, target: S3Object) -> None:
        """Remove the object if this export put it there; an object of anybody else's stays."""
        self.check(org_id, target)
        store = self._store(target.bucket)
        if store.header(target.key, OWNER_LABEL) == str(export_id):
            store.delete(target.key)

    def _store(self, bucket: str) -> ObjectStore:
        if bucket not in self._stores:
            self._stores[bucket] = self._open_bucket(bucket)
        return self._stores[bucket]


def _covers(entry: str, org_id: UUID, target: S3Object) -> bool:
    bucket, _, prefix = entry.replace("{org_id}", str(org_id)).partition("/")
    # The slash at the end keeps `exports/acme` from covering `exports/acme-rival`.
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return target.bucket == bucket and target.key.startswith(prefix)
