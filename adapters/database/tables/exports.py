"""Exports of domains: what was asked for, and where the file is."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table, text

from .schema import bounded, count, enumerated, identifier, instant, metadata, of_domain, org_id

#: Characters of the reason why an export ended without a file.
MAX_REASON_CHARS = 2000

domain_exports = Table(
    "domain_exports",
    metadata,
    org_id(),
    #: The id of the job that writes it.
    identifier("id"),
    identifier("domain_id"),
    #: The org whose files its file is among, also when the domain has changed hands.
    identifier("written_for"),
    enumerated("format", "json", "csv", "markdown", "pdf"),
    enumerated("destination", "download", "local", "s3"),
    enumerated("status", "running", "completed", "failed", "cancelled"),
    bounded("location", 2048, nullable=True),
    count("size_bytes"),
    count("row_count"),
    bounded("error", MAX_REASON_CHARS, nullable=True),
    Column(
        "data_version",
        Integer,
        CheckConstraint("data_version > 0", name="data_version_positive"),
        nullable=False,
    ),
    instant("requested_at", now=True),
    instant("started_at", now=True),
    instant("finished_at", nullable=True),
    instant("expires_at", nullable=True),
    PrimaryKeyConstraint("org_id", "id"),
    CheckConstraint("status <> 'completed' OR location IS NOT NULL", name="completed_has_location"),
    CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="finished_has_time"),
    of_domain(),
    Index("ix_domain_exports_newest", "org_id", "domain_id", text("requested_at DESC"), text("id DESC")),
    Index("ix_domain_exports_expiry", "expires_at", postgresql_where=text("location IS NOT NULL")),
)
