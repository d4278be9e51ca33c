"""Exports know the org they were written for: a domain that changes hands leaves its files where they are."""

import sqlalchemy as sa
from alembic import op

revision = "0015_export_owner"
down_revision = "0014_running_attempts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; exports of today were written for whoever has them."""
    op.add_column("domain_exports", sa.Column("written_for", sa.Uuid(), nullable=True))
    # As the owner of the table, whom row-level security holds too.
    op.execute("ALTER TABLE domain_exports NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE domain_exports SET written_for = org_id")
    op.execute("ALTER TABLE domain_exports FORCE ROW LEVEL SECURITY")
    op.alter_column("domain_exports", "written_for", nullable=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("domain_exports", "written_for")
