"""What differs between orgs is found without reading all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0017_org_shares"
down_revision = "0016_media_states"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index of those that have a weight, a limit of running jobs or a region of their own."""
    op.create_index(
        "ix_orgs_shares",
        "orgs",
        ["id"],
        postgresql_where=sa.text("weight <> 1 OR region IS NOT NULL OR limits ? 'max_active'"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_orgs_shares", "orgs")
