"""What the publishing saga needs."""

revision = "0015_publishing_saga"
down_revision = "0014_running_attempts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
