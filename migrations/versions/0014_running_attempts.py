"""Attempts are known from their start."""

revision = "0014_running_attempts"
down_revision = "0013_schedules"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
