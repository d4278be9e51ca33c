"""Attempts are known from their start: until one ends it is running, and has no end."""

import sqlalchemy as sa
from alembic import op

revision = "0014_running_attempts"
down_revision = "0013_schedules"
branch_labels = None
depends_on = None

OUTCOME = "ck_job_attempts_outcome"
FINISHED_OR_RUNNING = "ck_job_attempts_finished_or_running"
BEFORE = "'succeeded', 'failed', 'retried', 'parked', 'skipped', 'cancelled', 'expired', 'died'"


def upgrade() -> None:
    """Allow attempts without an end, and find those among all others."""
    op.alter_column("job_attempts", "finished_at", nullable=True)
    op.drop_constraint(OUTCOME, "job_attempts")
    op.create_check_constraint(OUTCOME, "job_attempts", f"outcome IN ('running', {BEFORE})")
    op.create_check_constraint(
        FINISHED_OR_RUNNING, "job_attempts", "(finished_at IS NULL) = (outcome = 'running')"
    )
    op.create_index(
        "ix_job_attempts_running",
        "job_attempts",
        [sa.text("started_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("outcome = 'running'"),
    )


def downgrade() -> None:
    """Forget the attempts that have no end: before, none was known until it had one."""
    op.drop_index("ix_job_attempts_running", "job_attempts")
    op.execute("DELETE FROM job_attempts WHERE outcome = 'running'")
    op.drop_constraint(FINISHED_OR_RUNNING, "job_attempts")
    op.drop_constraint(OUTCOME, "job_attempts")
    op.create_check_constraint(OUTCOME, "job_attempts", f"outcome IN ({BEFORE})")
    op.alter_column("job_attempts", "finished_at", nullable=False)
