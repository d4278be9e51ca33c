"""What operators look at: dead letters, what providers charged for, who did what."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from .publishing import ERROR_CATEGORIES
from .schema import bounded, count, enumerated, identifier, instant, json_data, metadata, of_org, org_id

#: Bytes of a dead letter, as JSON or as it came.
MAX_PAYLOAD_BYTES = 2 * 1024 * 1024
#: Bytes of what edits of a dead letter changed; the values are cut short.
MAX_CHANGES_BYTES = 256 * 1024
#: Bytes of what an action found or left.
MAX_AUDIT_BYTES = 64 * 1024

#: Messages that will not be tried again by themselves. One that could not be read has no org; the platform's
#: operators see it, no org does.
publishing_dlq = Table(
    "publishing_dlq",
    metadata,
    identifier("id"),
    org_id(nullable=True),
    bounded("message_id", 200, nullable=True),
    bounded("actor", 200, nullable=True),
    bounded("queue", 200),
    bounded("region", 64, nullable=True),
    enumerated("error_category", *ERROR_CATEGORIES),
    #: What went wrong, and what to do about it.
    bounded("message", 4000),
    #: The message, what its contract marks as secret taken out.
    json_data("payload", MAX_PAYLOAD_BYTES, nullable=True),
    #: The bytes of a message that could not be read; of one that could, its letter where JSONB cannot hold it.
    Column(
        "raw",
        LargeBinary,
        CheckConstraint(f"octet_length(raw) <= {MAX_PAYLOAD_BYTES}", name="raw_size"),
        nullable=True,
    ),
    bounded("trace", 8000, nullable=True),
    count("attempts"),
    Column("contract_version", Integer, nullable=True),
    #: The same for errors of the same kind at the same place.
    bounded("fingerprint", 128, nullable=True),
    bounded("error_class", 300, nullable=True),
    #: The message's options, secrets taken out.
    json_data("options", MAX_PAYLOAD_BYTES, nullable=True),
    #: Paths of what was taken out.
    json_data("redacted", MAX_PAYLOAD_BYTES, default="[]"),
    #: When the message was sent, and when it was given up.
    instant("first_at", nullable=True),
    instant("created_at", now=True),
    #: The letter whose message this one repeated.
    bounded("replay_of", 200, nullable=True),
    instant("replayed_at", nullable=True),
    bounded("replayed_as", 200, nullable=True),
    #: What an edit changed before it was replayed: paths, and values that are no secret.
    json_data("changes", MAX_CHANGES_BYTES, default="[]"),
    PrimaryKeyConstraint("id"),
    Index("idx_publishing_dlq_category", "error_category"),
    Index("idx_publishing_dlq_region", "region"),
    Index("ix_publishing_dlq_newest", "org_id", text("created_at DESC"), text("id DESC")),
    Index(
        "ix_publishing_dlq_category_newest",
        "org_id",
        "error_category",
        text("created_at DESC"),
        text("id DESC"),
    ),
    Index("ix_publishing_dlq_fingerprint", "fingerprint"),
    Index("ix_publishing_dlq_age", "created_at", "id"),
)

ai_usage = Table(
    "ai_usage",
    metadata,
    org_id(),
    Column("id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    identifier("job_id"),
    bounded("provider", 200),
    bounded("model", 200),
    count("prompt_tokens"),
    count("completion_tokens"),
    instant("created_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    of_org(),
    Index("ix_ai_usage_newest", "org_id", text("created_at DESC")),
)

#: Rows are added and never changed; the system role may remove what is past its retention. No reference to `orgs`:
#: what was done to an org is told also when it is gone.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    org_id(nullable=True),
    #: Who did it: a person, a job, the platform.
    bounded("actor", 256),
    bounded("action", 200),
    bounded("target", 256),
    Column("reason", Text, CheckConstraint("char_length(reason) <= 2000", name="reason_length")),
    json_data("before", MAX_AUDIT_BYTES, nullable=True),
    json_data("after", MAX_AUDIT_BYTES, nullable=True),
    instant("at", now=True),
    PrimaryKeyConstraint("id"),
    Index("ix_audit_log_newest", "org_id", text("at DESC"), text("id DESC")),
    Index("ix_audit_log_age", "at", "id"),
)
