"""Content, its metrics, and ideas for more."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_content"
down_revision = "0001_tenancy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "content_items",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("publish_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "content_type IN ('article', 'video', 'social', 'email')", name="ck_content_items_content_type"
        ),
        sa.CheckConstraint(
            "status <> 'scheduled' OR publish_at IS NOT NULL", name="ck_content_items_scheduled_has_time"
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'publishing', 'published', 'failed', 'archived')",
            name="ck_content_items_status",
        ),
        sa.CheckConstraint("char_length(title) <= 500", name="ck_content_items_title_length"),
        sa.CheckConstraint("char_length(url) <= 2048", name="ck_content_items_url_length"),
        sa.CheckConstraint("octet_length(body) <= 10000000", name="ck_content_items_body_size"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_content_items_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_content_items"),
    )
    op.create_index(
        "ix_content_items_due",
        "content_items",
        ["publish_at", "id"],
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.create_index(
        "ix_content_items_newest",
        "content_items",
        ["org_id", "domain_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.create_table(
        "keyword_metrics",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("keyword", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("impressions", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("position", sa.Double(), nullable=False),
        sa.CheckConstraint("char_length(keyword) <= 200", name="ck_keyword_metrics_keyword_length"),
        sa.CheckConstraint("clicks >= 0", name="ck_keyword_metrics_clicks_not_negative"),
        sa.CheckConstraint("impressions >= 0", name="ck_keyword_metrics_impressions_not_negative"),
        sa.CheckConstraint("position >= 0", name="ck_keyword_metrics_position_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_keyword_metrics_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "domain_id", "keyword", "day", name="pk_keyword_metrics"),
    )
    op.create_index("ix_keyword_metrics_day", "keyword_metrics", ["org_id", "domain_id", "day"])
    op.create_table(
        "content_performance",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("views", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("engaged_seconds", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "engaged_seconds >= 0", name="ck_content_performance_engaged_seconds_not_negative"
        ),
        sa.CheckConstraint("views >= 0", name="ck_content_performance_views_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "content_id"],
            ["content_items.org_id", "content_items.id"],
            name="fk_content_performance_org_id_content_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "content_id", "day", name="pk_content_performance"),
    )
    op.create_table(
        "content_ideas",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("target_keywords", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("read_time_minutes", sa.Integer(), nullable=True),
        sa.Column("outline", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("competitive_analysis", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "content_type IN ('article', 'video', 'social', 'email')", name="ck_content_ideas_content_type"
        ),
        sa.CheckConstraint("cardinality(outline) <= 20", name="ck_content_ideas_outline_number"),
        sa.CheckConstraint(
            "cardinality(target_keywords) BETWEEN 1 AND 5", name="ck_content_ideas_target_keywords_number"
        ),
        sa.CheckConstraint(
            "char_length(competitive_analysis) <= 4000", name="ck_content_ideas_competitive_analysis_length"
        ),
        sa.CheckConstraint("char_length(description) <= 4000", name="ck_content_ideas_description_length"),
        sa.CheckConstraint(
            "char_length(idempotency_key) <= 64", name="ck_content_ideas_idempotency_key_length"
        ),
        sa.CheckConstraint("char_length(title) <= 300", name="ck_content_ideas_title_length"),
        sa.CheckConstraint("ordinal >= 0", name="ck_content_ideas_ordinal_not_negative"),
        sa.CheckConstraint("read_time_minutes > 0", name="ck_content_ideas_read_time_positive"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_content_ideas_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_content_ideas"),
    )
    op.create_index("idx_content_ideas_idempotency", "content_ideas", ["idempotency_key"])
    op.create_index("ix_content_ideas_batch", "content_ideas", ["org_id", "batch_id", "ordinal"])
    op.create_index(
        "ix_content_ideas_newest",
        "content_ideas",
        ["org_id", "domain_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("content_ideas")
    op.drop_table("content_performance")
    op.drop_table("keyword_metrics")
    op.drop_table("content_items")
