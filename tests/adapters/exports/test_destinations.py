"""Exports to downloads and buckets, against a real folder and a server that speaks S3."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from adapters.exports.destinations import ExportDestinations
from adapters.exports.downloads import Downloads
from adapters.exports.local_files import LocalFiles
from adapters.exports.s3_buckets import S3Buckets
from adapters.net.links import SignedLinks, StoreLinks
from adapters.storage.object_store import ObjectStore, S3Options, open_store
from app.embedded.s3 import EmbeddedS3
from domain.domain_export import Destination, DomainExport, Download, Format, LocalFile, S3Object
from domain.errors import InvalidInput, NotFound, UnsafePath

NOW = datetime.now(UTC)
TOMORROW = NOW + timedelta(days=1)


@pytest.fixture
def open_bucket(s3: EmbeddedS3) -> Callable[[str], ObjectStore]:
    """Opens any bucket of the server."""
    options = S3Options(
        endpoint_url=s3.endpoint_url,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
        allow_http=True,
        retries=0,
    )
    return lambda bucket: open_store(f"s3://{bucket}", options)


@pytest.fixture
def bucket(s3: EmbeddedS3, open_bucket: Callable[[str], ObjectStore]) -> ObjectStore:
    """The server's bucket."""
    return open_bucket(s3.bucket)


Making = Callable[..., ExportDestinations]


@pytest.fixture
def destinations(tmp_path: Path, s3: EmbeddedS3, open_bucket: Callable[[str], ObjectStore]) -> Making:
    """Makes destinations; by default downloads lie in a folder and each org has a prefix of the bucket."""

    def make(downloads: ObjectStore | None = None, targets: list[str] | None = None) -> ExportDestinations:
        store = downloads or open_store((tmp_path / "objects").as_uri())
        signed = SignedLinks("https://jobs.example", [SecretStr("k" * 32)])
        return ExportDestinations(
            downloads=Downloads(store, StoreLinks(store=store, signed=signed, clock=lambda: NOW)),
            local_files=LocalFiles(tmp_path / "exports"),
            s3_buckets=S3Buckets([f"{s3.bucket}/{{org_id}}/"] if targets is None else targets, open_bucket),
        )

    return make


def test_a_download_lies_under_its_org_and_export(destinations: Making, tmp_path: Path) -> None:
    """In a folder, the object's key is its path, and the application's link names it."""
    job, export_id = _job(Download(), "csv"), uuid4()
    delivery = destinations().deliver(export_id, job, io.BytesIO(b"content"), TOMORROW)
    assert delivery.location == f"exports/{job.org_id}/{export_id}.csv"
    assert (tmp_path / "objects" / delivery.location).read_bytes() == b"content"
    assert delivery.link is not None
    assert delivery.link.startswith(f"https://jobs.example/{delivery.location}?expires=")


def test_a_download_in_a_bucket_is_served_by_its_link(destinations: Making, bucket: ObjectStore) -> None:
    """Where the store signs, its own link serves the file, as an attachment of the right type."""
    job, export_id = _job(Download(), "markdown"), uuid4()
    delivery = destinations(bucket).deliver(export_id, job, io.BytesIO(b"# content"), TOMORROW)
    assert delivery.link is not None
    reply = httpx.get(delivery.link)
    assert reply.content == b"# content"
    assert reply.headers["content-type"] == "text/markdown; charset=utf-8"
    assert reply.headers["content-disposition"] == f'attachment; filename="export-{export_id}.md"'


def test_a_discarded_download_is_gone(destinations: Making, bucket: ObjectStore) -> None:
    """Discarding removes the object, also twice."""
    job, export_id = _job(Download()), uuid4()
    folders = destinations(bucket)
    location = folders.deliver(export_id, job, io.BytesIO(b"x"), TOMORROW).location
    folders.discard(export_id, job)
    folders.discard(export_id, job)
    with pytest.raises(NotFound):
        bucket.size_bytes(location)


def test_a_local_file_goes_below_the_base_folder(destinations: Making, tmp_path: Path) -> None:
    """The local destination is checked, written and discarded."""
    job = _job(LocalFile(path="a/site.csv"))
    folders = destinations()
    folders.check(job)
    delivery = folders.deliver(uuid4(), job, io.BytesIO(b"content"), TOMORROW)
    assert (tmp_path / "exports" / delivery.location).read_bytes() == b"content"
    assert delivery.link is None
    with pytest.raises(UnsafePath):
        folders.check(_job(LocalFile(path="../site.csv")))


def test_the_whole_spool_is_delivered(destinations: Making, tmp_path: Path) -> None:
    """A file is delivered from its first byte on, wherever the spool was left."""
    source = io.BytesIO(b"content")
    source.seek(4)
    delivery = destinations().deliver(uuid4(), _job(LocalFile(path="a")), source, TOMORROW)
    assert (tmp_path / "exports" / delivery.location).read_bytes() == b"content"


@pytest.mark.parametrize("size_bytes", [0, 1, 12_000_000])
def test_a_bucket_gets_the_file(
    destinations: Making, s3: EmbeddedS3, bucket: ObjectStore, size_bytes: int
) -> None:
    """Empty, small or in several parts, the object is what was exported, with its type and its export's id."""
    export_id = uuid4()
    job = _job(lambda org: S3Object(bucket=s3.bucket, key=f"{org}/2026/όνομα site.json"), "json")
    delivery = destinations().deliver(export_id, job, io.BytesIO(b"x" * size_bytes), TOMORROW)
    assert delivery.location == f"s3://{s3.bucket}/{job.org_id}/2026/όνομα site.json"
    key = f"{job.org_id}/2026/όνομα site.json"
    assert b"".join(bucket.get(key)) == b"x" * size_bytes
    assert bucket.header(key, "Content-Type") == "application/json"
    assert bucket.header(key, "export-id") == str(export_id)


def test_discarding_spares_another_exports_object(
    destinations: Making, s3: EmbeddedS3, bucket: ObjectStore
) -> None:
    """An object is removed by the export that put it there and by no other."""
    export_id, folders = uuid4(), destinations()
    job = _job(lambda org: S3Object(bucket=s3.bucket, key=f"{org}/site.csv"))
    key = f"{job.org_id}/site.csv"
    folders.deliver(export_id, job, io.BytesIO(b"first"), TOMORROW)
    folders.discard(uuid4(), job)
    assert b"".join(bucket.get(key)) == b"first"
    folders.discard(export_id, job)
    with pytest.raises(NotFound):
        bucket.size_bytes(key)
    folders.discard(export_id, job)


def test_an_interrupted_upload_leaves_the_old_object(
    destinations: Making, s3: EmbeddedS3, bucket: ObjectStore
) -> None:
    """Interrupted between two parts, an upload changes nothing and leaves no unfinished parts."""

    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 6_000_000:
                raise KeyboardInterrupt
            return super().read(size)

    job = _job(lambda org: S3Object(bucket=s3.bucket, key=f"{org}/site.csv"))
    folders = destinations()
    folders.deliver(uuid4(), job, io.BytesIO(b"old"), TOMORROW)
    with pytest.raises(KeyboardInterrupt):
        folders.deliver(uuid4(), job, Interrupted(b"x" * 20_000_000), TOMORROW)
    assert b"".join(bucket.get(f"{job.org_id}/site.csv")) == b"old"
    assert str(job.org_id) not in httpx.get(f"{s3.endpoint_url}/{s3.bucket}?uploads").text


ORG = UUID(int=7)


@pytest.mark.parametrize(
    ("targets", "bucket_name", "key", "allowed"),
    [
        (["backups"], "backups", "any/where.csv", True),
        (["backups/exports/"], "backups", "exports/a.csv", True),
        (["backups/exports"], "backups", "exports/a.csv", True),
        (["backups/{org_id}/"], "backups", f"{ORG}/a.csv", True),
        (["other", "backups/x/{org_id}/"], "backups", f"x/{ORG}/b/a.csv", True),
        ([], "backups", "a.csv", False),
        (["backups"], "backups2", "a.csv", False),
        (["backups/exports/"], "backups", "a.csv", False),
        (["backups/exports"], "backups", "exports-evil/a.csv", False),
        (["backups/exports"], "backups", "exports", False),
        (["backups/{org_id}/"], "backups", f"{UUID(int=8)}/a.csv", False),
        (["backups/{org_id}"], "backups", f"{ORG}2/a.csv", False),
    ],
)
def test_only_allowed_targets_pass(
    destinations: Making, targets: list[str], bucket_name: str, key: str, allowed: bool
) -> None:
    """Buckets and prefixes of the allow-list pass; all else is refused, and the message names the setting."""
    job = _job(S3Object(bucket=bucket_name, key=key), org_id=ORG)
    folders = destinations(targets=targets)
    if allowed:
        folders.check(job)
        return
    for attempt in (
        lambda: folders.check(job),
        lambda: folders.deliver(uuid4(), job, io.BytesIO(b"x"), TOMORROW),
        lambda: folders.discard(uuid4(), job),
    ):
        with pytest.raises(InvalidInput, match="PRESSROOM_S3_EXPORT_TARGETS"):
            attempt()


@pytest.mark.parametrize(
    "key", ["{org}/../x.csv", "{org}//x.csv", "/{org}/x.csv", "{org}/x/", "{org}/a\\b", "{org}/./x"]
)
def test_key_tricks_are_refused(destinations: Making, s3: EmbeddedS3, key: str) -> None:
    """A key that some reader resolves to another org's is refused, though its beginning is allowed."""
    with pytest.raises(UnsafePath):
        destinations().check(_job(lambda org: S3Object(bucket=s3.bucket, key=key.format(org=org))))


def test_a_bucket_that_does_not_exist_is_named(destinations: Making) -> None:
    """A missing bucket is a permanent error that says so."""
    job = _job(S3Object(bucket="no-such-bucket-here", key="a.csv"))
    with pytest.raises(InvalidInput, match="s3://no-such-bucket-here does not exist"):
        destinations(targets=["no-such-bucket-here"]).deliver(uuid4(), job, io.BytesIO(b"x"), TOMORROW)


def _job(
    destination: Destination | Callable[[UUID], Destination], kind: Format = "csv", org_id: UUID | None = None
) -> DomainExport:
    org_id = org_id or uuid4()
    return DomainExport(
        org_id=org_id,
        domain_id=uuid4(),
        format=kind,
        destination=destination(org_id) if callable(destination) else destination,
    )
