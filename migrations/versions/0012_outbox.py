"""The outbox as the relay uses it: row locks, which a killed relay cannot leave behind, and no leases."""

import sqlalchemy as sa
from alembic import op

revision = "0012_outbox"
down_revision = "0011_dead_letters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the leases; index what was refused."""
    op.drop_column("outbox", "locked_until")
    op.drop_column("outbox", "locked_by")
    op.create_index("ix_outbox_refused", "outbox", ["due_at"], postgresql_where=sa.text("attempts > 0"))


def downgrade() -> None:
    """The other way round."""
    op.drop_index("ix_outbox_refused", "outbox")
    op.add_column("outbox", sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox", sa.Column("locked_by", sa.Uuid(), nullable=True))
