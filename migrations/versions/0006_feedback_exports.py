"""Feedback, event by event and per window, and exports."""

import sqlalchemy as sa
from alembic import op

revision = "0006_feedback_exports"
down_revision = "0005_experiments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "feedback_events",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("rating", sa.Double(), nullable=True),
        sa.Column("sentiment", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "entity_type IN ('content', 'user', 'system')", name="ck_feedback_events_entity_type"
        ),
        sa.CheckConstraint(
            "sentiment IN ('positive', 'negative', 'neutral')", name="ck_feedback_events_sentiment"
        ),
        sa.CheckConstraint(
            "source IN ('api', 'webhook', 'import', 'sync')", name="ck_feedback_events_source"
        ),
        sa.CheckConstraint("char_length(comment) <= 4000", name="ck_feedback_events_comment_length"),
        sa.CheckConstraint("char_length(entity_id) <= 200", name="ck_feedback_events_entity_id_length"),
        sa.CheckConstraint("char_length(event_id) <= 200", name="ck_feedback_events_event_id_length"),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name="fk_feedback_events_org_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "source", "event_id", name="pk_feedback_events"),
    )
    op.create_index(
        "ix_feedback_events_window",
        "feedback_events",
        ["org_id", "entity_type", "entity_id", sa.text("occurred_at DESC")],
        postgresql_include=["sentiment"],
    )
    op.create_table(
        "feedback_metrics",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("window_days", sa.SmallInteger(), nullable=False),
        sa.Column("positive", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("negative", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("neutral", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "count",
            sa.BigInteger(),
            sa.Computed("positive + negative + neutral", persisted=True),
            nullable=False,
        ),
        sa.Column("measured_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "entity_type IN ('content', 'user', 'system')", name="ck_feedback_metrics_entity_type"
        ),
        sa.CheckConstraint("char_length(entity_id) <= 200", name="ck_feedback_metrics_entity_id_length"),
        sa.CheckConstraint("negative >= 0", name="ck_feedback_metrics_negative_not_negative"),
        sa.CheckConstraint("neutral >= 0", name="ck_feedback_metrics_neutral_not_negative"),
        sa.CheckConstraint("positive >= 0", name="ck_feedback_metrics_positive_not_negative"),
        sa.CheckConstraint("window_days > 0", name="ck_feedback_metrics_window_days_positive"),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name="fk_feedback_metrics_org_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "org_id", "entity_type", "entity_id", "window_days", name="pk_feedback_metrics"
        ),
    )
    op.create_index("idx_feedback_metrics_entity_window", "feedback_metrics", ["entity_id", "window_days"])
    op.create_table(
        "domain_exports",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("row_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("data_version", sa.Integer(), nullable=False),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (finished_at IS NULL)", name="ck_domain_exports_finished_has_time"
        ),
        sa.CheckConstraint(
            "destination IN ('download', 'local', 's3')", name="ck_domain_exports_destination"
        ),
        sa.CheckConstraint("format IN ('json', 'csv', 'markdown', 'pdf')", name="ck_domain_exports_format"),
        sa.CheckConstraint(
            "status <> 'completed' OR location IS NOT NULL", name="ck_domain_exports_completed_has_location"
        ),
        sa.CheckConstraint(
            "status IN ('running', 'completed', 'failed', 'cancelled')", name="ck_domain_exports_status"
        ),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_domain_exports_error_length"),
        sa.CheckConstraint("char_length(location) <= 2048", name="ck_domain_exports_location_length"),
        sa.CheckConstraint("data_version > 0", name="ck_domain_exports_data_version_positive"),
        sa.CheckConstraint("row_count >= 0", name="ck_domain_exports_row_count_not_negative"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_domain_exports_size_bytes_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_domain_exports_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_domain_exports"),
    )
    op.create_index(
        "ix_domain_exports_expiry",
        "domain_exports",
        ["expires_at"],
        postgresql_where=sa.text("location IS NOT NULL"),
    )
    op.create_index(
        "ix_domain_exports_newest",
        "domain_exports",
        ["org_id", "domain_id", sa.text("requested_at DESC"), sa.text("id DESC")],
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("domain_exports")
    op.drop_table("feedback_metrics")
    op.drop_table("feedback_events")
