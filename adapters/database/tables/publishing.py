"""Where content is published, what is to be published, and what came of it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from .schema import bounded, enumerated, identifier, instant, metadata, of_domain, of_parent, org_id

#: Kinds of fault; a dead letter, an attempt and a failed publish use the same words.
ERROR_CATEGORIES = (
    "network",
    "auth",
    "validation",
    "timeout",
    "database",
    "unknown",
    "rate_limited",
    "circuit_open",
    "cancelled",
    "poison",
    "version",
)
#: Characters of an error message that are kept.
MAX_ERROR_CHARS = 2000

#: A target belongs to a domain, not to an org at large, so that intents never point out of their org when the
#: domain changes hands.
publish_targets = Table(
    "publish_targets",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    bounded("name", 200),
    enumerated("adapter", "wordpress", "webhook"),
    bounded("address", 2048),
    #: Encrypted by the application; the database never holds the key.
    Column(
        "credentials",
        LargeBinary,
        CheckConstraint("octet_length(credentials) <= 16384", name="credentials_size"),
        nullable=False,
    ),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    UniqueConstraint("org_id", "domain_id", "name"),
    of_domain(),
)

publish_intents = Table(
    "publish_intents",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    identifier("content_id"),
    identifier("target_id"),
    enumerated("status", "pending", "publishing", "published", "failed", "cancelled"),
    bounded("external_id", 512, nullable=True),
    bounded("external_url", 2048, nullable=True),
    bounded("error", MAX_ERROR_CHARS, nullable=True),
    instant("published_at", nullable=True),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    CheckConstraint("status <> 'published' OR published_at IS NOT NULL", name="published_has_time"),
    of_domain(),
    of_parent("content_id", "content_items"),
    of_parent("target_id", "publish_targets"),
    Index("ix_publish_intents_newest", "org_id", "domain_id", text("created_at DESC"), text("id DESC")),
    Index("ix_publish_intents_content", "org_id", "content_id"),
    Index("ix_publish_intents_target", "org_id", "target_id"),
    # However many schedulers find the same content due, one intent is open for it.
    Index(
        "uq_publish_intents_open",
        "org_id",
        "content_id",
        "target_id",
        unique=True,
        postgresql_where=text("status IN ('pending', 'publishing')"),
    ),
)

#: Ends of publishing attempts. Lease, fence and attempts of the saga stand in `job_executions`; the fence is copied
#: here so that it shows which holder wrote the row.
publish_executions = Table(
    "publish_executions",
    metadata,
    org_id(),
    identifier("id"),
    identifier("intent_id"),
    Column("fence", BigInteger, nullable=False),
    enumerated("outcome", "success", "failure"),
    bounded("external_id", 512, nullable=True),
    bounded("external_url", 2048, nullable=True),
    enumerated("error_category", *ERROR_CATEGORIES, nullable=True),
    bounded("error", MAX_ERROR_CHARS, nullable=True),
    instant("finished_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    of_parent("intent_id", "publish_intents"),
    Index("ix_publish_executions_intent", "org_id", "intent_id", "finished_at"),
    # Published means published once: a second success cannot be written.
    Index(
        "uq_publish_executions_success",
        "org_id",
        "intent_id",
        unique=True,
        postgresql_where=text("outcome = 'success'"),
    ),
)
