"""What the history keeps of an attempt: why it was parked, how long it took, and the job's own result."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_attempt_history"
down_revision = "0009_row_level_security"
branch_labels = None
depends_on = None

OUTCOME = "ck_job_attempts_outcome"
BEFORE = "'succeeded', 'failed', 'cancelled', 'parked', 'skipped', 'died'"
NOW = "'succeeded', 'failed', 'retried', 'parked', 'skipped', 'cancelled', 'expired', 'died'"


def upgrade() -> None:
    """Add the columns, the two outcomes, and an index for the operator's view of all orgs."""
    op.add_column("job_attempts", sa.Column("duration_ms", sa.Double(), nullable=True))
    op.add_column("job_attempts", sa.Column("cause", sa.Text(), nullable=True))
    op.add_column("job_attempts", sa.Column("result", postgresql.JSONB(none_as_null=True), nullable=True))
    op.create_check_constraint("ck_job_attempts_duration_ms_not_negative", "job_attempts", "duration_ms >= 0")
    op.create_check_constraint("ck_job_attempts_cause_length", "job_attempts", "char_length(cause) <= 200")
    op.create_check_constraint(
        "ck_job_attempts_result_size", "job_attempts", "octet_length(result::text) <= 131072"
    )
    op.drop_constraint(OUTCOME, "job_attempts")
    op.create_check_constraint(OUTCOME, "job_attempts", f"outcome IN ({NOW})")
    op.create_index(
        "ix_job_attempts_newest_of_all", "job_attempts", [sa.text("started_at DESC"), sa.text("id DESC")]
    )


def downgrade() -> None:
    """Take them back; what has an outcome of later becomes what it was called before."""
    op.drop_index("ix_job_attempts_newest_of_all", "job_attempts")
    op.drop_constraint(OUTCOME, "job_attempts")
    op.execute("UPDATE job_attempts SET outcome = 'failed' WHERE outcome = 'retried'")
    op.execute("UPDATE job_attempts SET outcome = 'skipped' WHERE outcome = 'expired'")
    op.create_check_constraint(OUTCOME, "job_attempts", f"outcome IN ({BEFORE})")
    for column in ("result", "cause", "duration_ms"):
        op.drop_column("job_attempts", column)
