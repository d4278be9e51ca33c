"""Publish targets, intents and what came of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004_publishing"
down_revision = "0003_media"
branch_labels = None
depends_on = None

CATEGORIES = (
    "'network', 'auth', 'validation', 'timeout', 'database', 'unknown', "
    "'rate_limited', 'circuit_open', 'cancelled', 'poison', 'version'"
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "publish_targets",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("adapter IN ('wordpress', 'webhook')", name="ck_publish_targets_adapter"),
        sa.CheckConstraint("char_length(address) <= 2048", name="ck_publish_targets_address_length"),
        sa.CheckConstraint("char_length(name) <= 200", name="ck_publish_targets_name_length"),
        sa.CheckConstraint("octet_length(credentials) <= 16384", name="ck_publish_targets_credentials_size"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_publish_targets_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_publish_targets"),
        sa.UniqueConstraint("org_id", "domain_id", "name", name="uq_publish_targets_org_id_domain_id_name"),
    )
    op.create_table(
        "publish_intents",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("external_url", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status <> 'published' OR published_at IS NOT NULL", name="ck_publish_intents_published_has_time"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'publishing', 'published', 'failed', 'cancelled')",
            name="ck_publish_intents_status",
        ),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_publish_intents_error_length"),
        sa.CheckConstraint("char_length(external_id) <= 512", name="ck_publish_intents_external_id_length"),
        sa.CheckConstraint(
            "char_length(external_url) <= 2048", name="ck_publish_intents_external_url_length"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "content_id"],
            ["content_items.org_id", "content_items.id"],
            name="fk_publish_intents_org_id_content_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_publish_intents_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "target_id"],
            ["publish_targets.org_id", "publish_targets.id"],
            name="fk_publish_intents_org_id_target_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_publish_intents"),
    )
    op.create_index("ix_publish_intents_content", "publish_intents", ["org_id", "content_id"])
    op.create_index(
        "ix_publish_intents_newest",
        "publish_intents",
        ["org_id", "domain_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.create_index("ix_publish_intents_target", "publish_intents", ["org_id", "target_id"])
    op.create_index(
        "uq_publish_intents_open",
        "publish_intents",
        ["org_id", "content_id", "target_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('pending', 'publishing')"),
    )
    op.create_table(
        "publish_executions",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("intent_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("external_url", sa.Text(), nullable=True),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(f"error_category IN ({CATEGORIES})", name="ck_publish_executions_error_category"),
        sa.CheckConstraint("outcome IN ('success', 'failure')", name="ck_publish_executions_outcome"),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_publish_executions_error_length"),
        sa.CheckConstraint(
            "char_length(external_id) <= 512", name="ck_publish_executions_external_id_length"
        ),
        sa.CheckConstraint(
            "char_length(external_url) <= 2048", name="ck_publish_executions_external_url_length"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "intent_id"],
            ["publish_intents.org_id", "publish_intents.id"],
            name="fk_publish_executions_org_id_intent_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_publish_executions"),
    )
    op.create_index(
        "ix_publish_executions_intent", "publish_executions", ["org_id", "intent_id", "finished_at"]
    )
    op.create_index(
        "uq_publish_executions_success",
        "publish_executions",
        ["org_id", "intent_id"],
        unique=True,
        postgresql_where=sa.text("outcome = 'success'"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("publish_executions")
    op.drop_table("publish_intents")
    op.drop_table("publish_targets")
