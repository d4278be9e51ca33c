"""Schedules that orgs add at run time."""

from sqlalchemy import Boolean, Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint, text

from .schema import bounded, enumerated, identifier, instant, json_data, metadata, of_org, org_id

#: Bytes of what each message of a schedule carries.
MAX_PAYLOAD_BYTES = 64 * 1024

#: `next_due_at` is a whole minute. Whoever fires it locks the row, so that each minute is fired once.
schedules = Table(
    "schedules",
    metadata,
    org_id(),
    identifier("id"),
    bounded("name", 100),
    bounded("actor", 200),
    bounded("expression", 200),
    bounded("tz", 64),
    json_data("payload", MAX_PAYLOAD_BYTES),
    #: What becomes of ticks that nobody fired in time.
    enumerated("missed", "skip", "coalesce"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    #: Why it paused itself; None when a person did.
    bounded("error", 2000, nullable=True),
    instant("next_due_at"),
    instant("last_due_at", nullable=True),
    identifier("last_message_id", nullable=True),
    bounded("created_by", 256),
    instant("created_at", now=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("org_id", "name"),
    of_org(),
    Index("ix_schedules_due", "next_due_at", "id", postgresql_where=text("NOT paused")),
)
