"""What people thought of an org's content, users and systems, event by event and per window."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Double,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from .schema import bounded, count, enumerated, instant, metadata, of_org, org_id

ENTITY_TYPES = ("content", "user", "system")

feedback_events = Table(
    "feedback_events",
    metadata,
    org_id(),
    enumerated("source", "api", "webhook", "import", "sync"),
    bounded("event_id", 200),
    enumerated("entity_type", *ENTITY_TYPES),
    bounded("entity_id", 200),
    Column("rating", Double, nullable=True),
    enumerated("sentiment", "positive", "negative", "neutral"),
    bounded("comment", 4000, nullable=True),
    instant("occurred_at"),
    instant("received_at", now=True),
    # An event that arrives twice counts once.
    PrimaryKeyConstraint("org_id", "source", "event_id"),
    of_org(),
    Index(
        "ix_feedback_events_window",
        "org_id",
        "entity_type",
        "entity_id",
        text("occurred_at DESC"),
        postgresql_include=["sentiment"],
    ),
)

feedback_metrics = Table(
    "feedback_metrics",
    metadata,
    org_id(),
    enumerated("entity_type", *ENTITY_TYPES),
    bounded("entity_id", 200),
    Column(
        "window_days",
        SmallInteger,
        CheckConstraint("window_days > 0", name="window_days_positive"),
        nullable=False,
    ),
    count("positive"),
    count("negative"),
    count("neutral"),
    Column("count", BigInteger, Computed("positive + negative + neutral", persisted=True), nullable=False),
    instant("measured_at", now=True),
    PrimaryKeyConstraint("org_id", "entity_type", "entity_id", "window_days"),
    of_org(),
    Index("idx_feedback_metrics_entity_window", "entity_id", "window_days"),
)
