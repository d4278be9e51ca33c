"""Executions, attempts, idempotency keys, the outbox and cron ticks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_jobs"
down_revision = "0006_feedback_exports"
branch_labels = None
depends_on = None

CATEGORIES = (
    "'network', 'auth', 'validation', 'timeout', 'database', 'unknown', "
    "'rate_limited', 'circuit_open', 'cancelled', 'poison', 'version'"
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "job_executions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("result", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"error_category IN ({CATEGORIES})", name="ck_job_executions_error_category"),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')",
            name="ck_job_executions_status",
        ),
        sa.CheckConstraint("attempts >= 0", name="ck_job_executions_attempts_not_negative"),
        sa.CheckConstraint("char_length(entity_id) <= 200", name="ck_job_executions_entity_id_length"),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_job_executions_error_length"),
        sa.CheckConstraint("char_length(job_type) <= 100", name="ck_job_executions_job_type_length"),
        sa.CheckConstraint("char_length(key) <= 200", name="ck_job_executions_key_length"),
        sa.CheckConstraint("char_length(message_id) <= 200", name="ck_job_executions_message_id_length"),
        sa.CheckConstraint("octet_length(result::text) <= 131072", name="ck_job_executions_result_size"),
        sa.CheckConstraint("octet_length(state::text) <= 131072", name="ck_job_executions_state_size"),
        sa.PrimaryKeyConstraint("id", name="pk_job_executions"),
        sa.UniqueConstraint(
            "org_id",
            "job_type",
            "key",
            name="uq_job_executions_org_id_job_type_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("idx_job_executions_status_entity", "job_executions", ["status", "entity_id"])
    op.create_index("ix_job_executions_finished", "job_executions", ["finished_at"])
    op.create_index(
        "ix_job_executions_newest",
        "job_executions",
        ["org_id", sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.create_table(
        "job_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"error_category IN ({CATEGORIES})", name="ck_job_attempts_error_category"),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'cancelled', 'parked', 'skipped', 'died')",
            name="ck_job_attempts_outcome",
        ),
        sa.CheckConstraint("attempt >= 0", name="ck_job_attempts_attempt_not_negative"),
        sa.CheckConstraint("char_length(actor) <= 200", name="ck_job_attempts_actor_length"),
        sa.CheckConstraint("char_length(error_class) <= 200", name="ck_job_attempts_error_class_length"),
        sa.CheckConstraint("char_length(fingerprint) <= 128", name="ck_job_attempts_fingerprint_length"),
        sa.CheckConstraint("char_length(message_id) <= 200", name="ck_job_attempts_message_id_length"),
        sa.CheckConstraint("char_length(queue) <= 200", name="ck_job_attempts_queue_length"),
        sa.CheckConstraint("char_length(trace_id) <= 64", name="ck_job_attempts_trace_id_length"),
        sa.CheckConstraint("char_length(worker) <= 200", name="ck_job_attempts_worker_length"),
        sa.PrimaryKeyConstraint("id", name="pk_job_attempts"),
    )
    op.create_index("ix_job_attempts_finished", "job_attempts", ["finished_at"])
    op.create_index("ix_job_attempts_message", "job_attempts", ["message_id", "started_at"])
    op.create_index(
        "ix_job_attempts_newest", "job_attempts", ["org_id", sa.text("started_at DESC"), sa.text("id DESC")]
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(job_type) <= 100", name="ck_idempotency_keys_job_type_length"),
        sa.CheckConstraint("char_length(key) <= 200", name="ck_idempotency_keys_key_length"),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name="fk_idempotency_keys_org_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "job_type", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expiry", "idempotency_keys", ["expires_at"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locked_by", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("attempts >= 0", name="ck_outbox_attempts_not_negative"),
        sa.CheckConstraint("char_length(actor) <= 200", name="ck_outbox_actor_length"),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_outbox_error_length"),
        sa.CheckConstraint("char_length(region) <= 64", name="ck_outbox_region_length"),
        sa.CheckConstraint("octet_length(message) <= 2097152", name="ck_outbox_message_size"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_outbox_org_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_due", "outbox", ["due_at", "id"])
    op.create_index("ix_outbox_org", "outbox", ["org_id"])
    op.create_table(
        "cron_ticks",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("nominal_minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("char_length(actor) <= 200", name="ck_cron_ticks_actor_length"),
        sa.CheckConstraint("char_length(claimed_by) <= 200", name="ck_cron_ticks_claimed_by_length"),
        sa.CheckConstraint(
            "extract(second FROM nominal_minute) = 0", name="ck_cron_ticks_nominal_minute_whole"
        ),
        sa.PrimaryKeyConstraint("actor", "nominal_minute", name="pk_cron_ticks"),
    )
    op.create_index("ix_cron_ticks_age", "cron_ticks", ["nominal_minute"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("cron_ticks")
    op.drop_table("outbox")
    op.drop_table("idempotency_keys")
    op.drop_table("job_attempts")
    op.drop_table("job_executions")
