"""The outbox as the relay uses it."""

revision = "0012_outbox"
down_revision = "0011_dead_letters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
