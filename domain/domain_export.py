"""The contract of a domain's export: content, analytics and settings as one file."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from .contract import NO_NUL, Instant, Model, TenantJob

Format = Literal["json", "csv", "markdown", "pdf"]

Path = Annotated[str, StringConstraints(min_length=1, max_length=1_024, pattern=NO_NUL)]


class Download(Model):
    """Keep the file in the platform's object store, behind a link that expires."""

    type: Literal["download"] = "download"


class LocalFile(Model):
    """Write below EXPORT_BASE_DIR of the worker."""

    type: Literal["local"] = "local"
    path: Path
    """Relative to the org's own folder there."""


class S3Object(Model):
    """Put into an S3-compatible bucket."""

    type: Literal["s3"] = "s3"
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    key: Path


Destination = Annotated[Download | LocalFile | S3Object, Field(discriminator="type")]


class DateRange(Model):
    """From `start` up to and including `end`."""

    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise ValueError("start must not be later than end")
        return self


class DomainExport(TenantJob):
    """Ask for an export.

    Example:
        >>> DomainExport(org_id=org, domain_id=domain, format="csv", destination=LocalFile(path="site.csv"))
    """

    domain_id: UUID
    """The domain to export."""
    format: Format
    """The kind of file."""
    include_content: bool = True
    """Content items, newest first, at most MAX_CSV_ROWS."""
    include_analytics: bool = True
    """Aggregates of keywords and content over the range, or the last 90 days."""
    include_settings: bool = True
    """The domain's settings."""
    date_range: DateRange | None = None
    """Only content created, and analytics measured, in this range."""
    destination: Destination = Download()
    """Where the file goes."""


class ExportOutcome(Model):
    """Where the file is."""

    export_id: UUID
    location: str
    """A path, an `s3://` address, or the object's key."""
    link: str | None
    """Downloads only: works until `expires_at`, for whoever has it."""
    size_bytes: int
    rows: int
    expires_at: Instant
