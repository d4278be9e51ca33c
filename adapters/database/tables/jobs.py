"""Jobs as the database sees them: one row a job, one an attempt, keys, messages to be sent, ticks."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from .publishing import ERROR_CATEGORIES, MAX_ERROR_CHARS
from .schema import bounded, count, enumerated, identifier, instant, json_data, metadata, of_org, org_id

#: Bytes of a job's result or saga state. Results are held to 64 KiB before; PostgreSQL writes JSON with spaces.
MAX_RESULT_BYTES = 128 * 1024

#: How an attempt can end: tried again, parked at no cost, too old to be worth running, with its worker, and so on.
#: Until then it is running.
ATTEMPT_OUTCOMES = (
    "running",
    "succeeded",
    "failed",
    "retried",
    "parked",
    "skipped",
    "cancelled",
    "expired",
    "died",
)

#: One row a job, whatever the number of its attempts. Whoever holds the lease works on it; the fence, raised with
#: every lease, refuses the writes of a holder that lost it. No reference to `orgs`: a job for an org that does not
#: exist has an end too.
job_executions = Table(
    "job_executions",
    metadata,
    identifier("id"),
    org_id(nullable=True),
    bounded("job_type", 100),
    bounded("key", 200),
    bounded("entity_id", 200, nullable=True),
    bounded("message_id", 200, nullable=True),
    enumerated("status", "pending", "running", "succeeded", "failed", "cancelled"),
    #: What a later attempt has to know of what earlier ones did.
    json_data("state", MAX_RESULT_BYTES, default="{}"),
    json_data("result", MAX_RESULT_BYTES, nullable=True),
    count("attempts"),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    instant("lease_until", nullable=True),
    enumerated("error_category", *ERROR_CATEGORIES, nullable=True),
    bounded("error", MAX_ERROR_CHARS, nullable=True),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    instant("finished_at", nullable=True),
    PrimaryKeyConstraint("id"),
    # Per org, or one org's key would block another's. The platform's own jobs count as one org.
    UniqueConstraint("org_id", "job_type", "key", postgresql_nulls_not_distinct=True),
    Index("idx_job_executions_status_entity", "status", "entity_id"),
    Index("ix_job_executions_newest", "org_id", text("created_at DESC"), text("id DESC")),
    Index("ix_job_executions_finished", "finished_at"),
)

job_attempts = Table(
    "job_attempts",
    metadata,
    identifier("id"),
    org_id(nullable=True),
    bounded("message_id", 200),
    bounded("actor", 200),
    bounded("queue", 200),
    Column("attempt", Integer, CheckConstraint("attempt >= 0", name="attempt_not_negative"), nullable=False),
    enumerated("outcome", *ATTEMPT_OUTCOMES),
    enumerated("error_category", *ERROR_CATEGORIES, nullable=True),
    bounded("error_class", 200, nullable=True),
    bounded("fingerprint", 128, nullable=True),
    bounded("worker", 200, nullable=True),
    bounded("trace_id", 64, nullable=True),
    instant("started_at"),
    instant("finished_at", nullable=True),
    Column(
        "duration_ms",
        Double,
        CheckConstraint("duration_ms >= 0", name="duration_ms_not_negative"),
        nullable=True,
    ),
    bounded("cause", 200, nullable=True),
    json_data("result", MAX_RESULT_BYTES, nullable=True),
    PrimaryKeyConstraint("id"),
    CheckConstraint("(finished_at IS NULL) = (outcome = 'running')", name="finished_or_running"),
    Index("ix_job_attempts_message", "message_id", "started_at"),
    Index("ix_job_attempts_newest", "org_id", text("started_at DESC"), text("id DESC")),
    Index("ix_job_attempts_newest_of_all", text("started_at DESC"), text("id DESC")),
    Index("ix_job_attempts_finished", "finished_at"),
    # Few at a time: what runs, and what died with its worker.
    Index(
        "ix_job_attempts_running",
        text("started_at DESC"),
        text("id DESC"),
        postgresql_where=text("outcome = 'running'"),
    ),
)

#: A key keeps out every holder but its own until it expires.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    org_id(),
    #: The job the key is for; two kinds of job may use one key.
    bounded("job_type", 100),
    bounded("key", 200),
    #: What the first holder made, a batch for example.
    identifier("holder"),
    instant("created_at", now=True),
    instant("expires_at"),
    PrimaryKeyConstraint("org_id", "job_type", "key"),
    of_org(),
    Index("ix_idempotency_keys_expiry", "expires_at"),
)

#: Messages that were decided in a transaction and are sent after it; a relay locks due ones, and deletes what the
#: broker took. The id is the message's own.
outbox = Table(
    "outbox",
    metadata,
    identifier("id"),
    org_id(nullable=True),
    bounded("actor", 200),
    bounded("region", 64, nullable=True),
    #: The message as the broker takes it.
    Column(
        "message",
        LargeBinary,
        CheckConstraint("octet_length(message) <= 2097152", name="message_size"),
        nullable=False,
    ),
    instant("due_at", now=True),
    #: How often the message was refused; what the broker could not be asked is no attempt.
    count("attempts"),
    bounded("error", MAX_ERROR_CHARS, nullable=True),
    instant("created_at", now=True),
    PrimaryKeyConstraint("id"),
    of_org(),
    Index("ix_outbox_due", "due_at", "id"),
    Index("ix_outbox_refused", "due_at", postgresql_where=text("attempts > 0")),
    Index("ix_outbox_org", "org_id"),
)

#: The platform's own: no org, and only the system role may touch it.
cron_ticks = Table(
    "cron_ticks",
    metadata,
    bounded("actor", 200),
    Column(
        "nominal_minute",
        instant("at").type,
        CheckConstraint("extract(second FROM nominal_minute) = 0", name="nominal_minute_whole"),
        nullable=False,
    ),
    bounded("claimed_by", 200),
    instant("claimed_at", now=True),
    instant("finished_at", nullable=True),
    PrimaryKeyConstraint("actor", "nominal_minute"),
    Index("ix_cron_ticks_age", "nominal_minute"),
)
