"""Schedules that orgs add at run time."""

revision = "0013_schedules"
down_revision = "0012_outbox"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
