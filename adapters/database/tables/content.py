"""What a domain publishes, how it does, and ideas for more."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.post_details import MAX_CATEGORIES, MAX_EXCERPT_CHARS, MAX_NAME_CHARS, MAX_TAGS

from .schema import (
    bounded,
    count,
    enumerated,
    identifier,
    instant,
    metadata,
    names,
    of_domain,
    of_parent,
    org_id,
)

CONTENT_TYPES = ("article", "video", "social", "email")
#: Bytes of one content item's text.
MAX_BODY_BYTES = 10_000_000

content_items = Table(
    "content_items",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    bounded("title", 500),
    Column(
        "body",
        Text,
        CheckConstraint(f"octet_length(body) <= {MAX_BODY_BYTES}", name="body_size"),
        nullable=False,
        server_default=text("''"),
    ),
    enumerated("content_type", *CONTENT_TYPES),
    enumerated("status", "draft", "scheduled", "publishing", "published", "failed", "archived"),
    bounded("url", 2048, nullable=True),
    #: What is said of the post where it is published; its featured media is a reference.
    bounded("excerpt", MAX_EXCERPT_CHARS, nullable=True),
    names("categories", MAX_CATEGORIES),
    names("tags", MAX_TAGS),
    bounded("author", MAX_NAME_CHARS, nullable=True),
    #: The date that it bears there, never one to come (a trigger sees to it).
    instant("dated", nullable=True),
    #: When the scheduler is to publish it.
    instant("publish_at", nullable=True),
    instant("published_at", nullable=True),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    CheckConstraint("dated >= '1900-01-01 00:00:00+00'", name="dated_in_calendar"),
    CheckConstraint("status <> 'scheduled' OR publish_at IS NOT NULL", name="scheduled_has_time"),
    of_domain(),
    Index("ix_content_items_newest", "org_id", "domain_id", text("created_at DESC"), text("id DESC")),
    Index("ix_content_items_due", "publish_at", "id", postgresql_where=text("status = 'scheduled'")),
)

keyword_metrics = Table(
    "keyword_metrics",
    metadata,
    org_id(),
    identifier("domain_id"),
    bounded("keyword", 200),
    #: The day in UTC.
    Column("day", Date, nullable=False),
    count("clicks"),
    count("impressions"),
    Column(
        "position", Double, CheckConstraint("position >= 0", name="position_not_negative"), nullable=False
    ),
    PrimaryKeyConstraint("org_id", "domain_id", "keyword", "day"),
    of_domain(),
    Index("ix_keyword_metrics_day", "org_id", "domain_id", "day"),
)

content_performance = Table(
    "content_performance",
    metadata,
    org_id(),
    identifier("content_id"),
    #: The day in UTC.
    Column("day", Date, nullable=False),
    count("views"),
    count("engaged_seconds"),
    PrimaryKeyConstraint("org_id", "content_id", "day"),
    of_parent("content_id", "content_items"),
)

content_ideas = Table(
    "content_ideas",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    identifier("batch_id"),
    #: Its place in the batch, from 0.
    Column("ordinal", Integer, CheckConstraint("ordinal >= 0", name="ordinal_not_negative"), nullable=False),
    bounded("idempotency_key", 64),
    bounded("title", 300),
    bounded("description", 4000),
    Column(
        "target_keywords",
        ARRAY(Text),
        CheckConstraint("cardinality(target_keywords) BETWEEN 1 AND 5", name="target_keywords_number"),
        nullable=False,
    ),
    enumerated("content_type", *CONTENT_TYPES),
    Column(
        "read_time_minutes",
        Integer,
        CheckConstraint("read_time_minutes > 0", name="read_time_positive"),
        nullable=True,
    ),
    Column(
        "outline",
        ARRAY(Text),
        CheckConstraint("cardinality(outline) <= 20", name="outline_number"),
        nullable=False,
        server_default=text("'{}'"),
    ),
    bounded("competitive_analysis", 4000),
    instant("created_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    of_domain(),
    Index("idx_content_ideas_idempotency", "idempotency_key"),
    Index("ix_content_ideas_newest", "org_id", "domain_id", text("created_at DESC"), text("id DESC")),
    Index("ix_content_ideas_batch", "org_id", "batch_id", "ordinal"),
)
