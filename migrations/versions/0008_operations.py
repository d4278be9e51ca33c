"""Dead letters, AI usage and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_operations"
down_revision = "0007_jobs"
branch_labels = None
depends_on = None

CATEGORIES = (
    "'network', 'auth', 'validation', 'timeout', 'database', 'unknown', "
    "'rate_limited', 'circuit_open', 'cancelled', 'poison', 'version'"
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "publishing_dlq",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("error_category", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("contract_version", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replayed_as", sa.Text(), nullable=True),
        sa.CheckConstraint(f"error_category IN ({CATEGORIES})", name="ck_publishing_dlq_error_category"),
        sa.CheckConstraint("attempts >= 0", name="ck_publishing_dlq_attempts_not_negative"),
        sa.CheckConstraint("char_length(actor) <= 200", name="ck_publishing_dlq_actor_length"),
        sa.CheckConstraint("char_length(fingerprint) <= 128", name="ck_publishing_dlq_fingerprint_length"),
        sa.CheckConstraint("char_length(message) <= 4000", name="ck_publishing_dlq_message_length"),
        sa.CheckConstraint("char_length(message_id) <= 200", name="ck_publishing_dlq_message_id_length"),
        sa.CheckConstraint("char_length(queue) <= 200", name="ck_publishing_dlq_queue_length"),
        sa.CheckConstraint("char_length(region) <= 64", name="ck_publishing_dlq_region_length"),
        sa.CheckConstraint("char_length(replayed_as) <= 200", name="ck_publishing_dlq_replayed_as_length"),
        sa.CheckConstraint("char_length(trace) <= 8000", name="ck_publishing_dlq_trace_length"),
        sa.CheckConstraint("octet_length(payload::text) <= 2097152", name="ck_publishing_dlq_payload_size"),
        sa.CheckConstraint("octet_length(raw) <= 2097152", name="ck_publishing_dlq_raw_size"),
        sa.PrimaryKeyConstraint("id", name="pk_publishing_dlq"),
    )
    op.create_index("idx_publishing_dlq_category", "publishing_dlq", ["error_category"])
    op.create_index("idx_publishing_dlq_region", "publishing_dlq", ["region"])
    op.create_index("ix_publishing_dlq_age", "publishing_dlq", ["created_at", "id"])
    op.create_index("ix_publishing_dlq_fingerprint", "publishing_dlq", ["fingerprint"])
    op.create_index(
        "ix_publishing_dlq_newest",
        "publishing_dlq",
        ["org_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.create_table(
        "ai_usage",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(model) <= 200", name="ck_ai_usage_model_length"),
        sa.CheckConstraint("char_length(provider) <= 200", name="ck_ai_usage_provider_length"),
        sa.CheckConstraint("completion_tokens >= 0", name="ck_ai_usage_completion_tokens_not_negative"),
        sa.CheckConstraint("prompt_tokens >= 0", name="ck_ai_usage_prompt_tokens_not_negative"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_ai_usage_org_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_ai_usage"),
    )
    op.create_index("ix_ai_usage_newest", "ai_usage", ["org_id", sa.text("created_at DESC")])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(action) <= 200", name="ck_audit_log_action_length"),
        sa.CheckConstraint("char_length(actor) <= 256", name="ck_audit_log_actor_length"),
        sa.CheckConstraint("char_length(reason) <= 2000", name="ck_audit_log_reason_length"),
        sa.CheckConstraint("char_length(target) <= 256", name="ck_audit_log_target_length"),
        sa.CheckConstraint("octet_length(after::text) <= 65536", name="ck_audit_log_after_size"),
        sa.CheckConstraint("octet_length(before::text) <= 65536", name="ck_audit_log_before_size"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_age", "audit_log", ["at", "id"])
    op.create_index("ix_audit_log_newest", "audit_log", ["org_id", sa.text("at DESC"), sa.text("id DESC")])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("audit_log")
    op.drop_table("ai_usage")
    op.drop_table("publishing_dlq")
