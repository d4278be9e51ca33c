"""Orgs, their domains, settings and transfer tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_tenancy"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "orgs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("weight", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("limits", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(name) <= 200", name="ck_orgs_name_length"),
        sa.CheckConstraint("char_length(region) <= 64", name="ck_orgs_region_length"),
        sa.CheckConstraint("octet_length(limits::text) <= 4096", name="ck_orgs_limits_size"),
        sa.CheckConstraint("weight BETWEEN 1 AND 1000", name="ck_orgs_weight"),
        sa.PrimaryKeyConstraint("id", name="pk_orgs"),
    )
    op.create_table(
        "domain_registry",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("transferred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("transferred_from", sa.Uuid(), nullable=True),
        sa.CheckConstraint("char_length(host) <= 253", name="ck_domain_registry_host_length"),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name="fk_domain_registry_org_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_domain_registry"),
        sa.UniqueConstraint("org_id", "host", name="uq_domain_registry_org_id_host"),
    )
    op.create_table(
        "domain_settings",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(name) <= 100", name="ck_domain_settings_name_length"),
        sa.CheckConstraint("octet_length(value::text) <= 65536", name="ck_domain_settings_value_size"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_domain_settings_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "domain_id", "name", name="pk_domain_settings"),
    )
    op.create_table(
        "domain_transfer_tokens",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=True),
        sa.Column("receiver_org_id", sa.Uuid(), nullable=True),
        sa.Column("issued_by", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "char_length(issued_by) <= 256", name="ck_domain_transfer_tokens_issued_by_length"
        ),
        sa.CheckConstraint("char_length(used_by) <= 256", name="ck_domain_transfer_tokens_used_by_length"),
        sa.CheckConstraint(
            "octet_length(metadata::text) <= 32768", name="ck_domain_transfer_tokens_metadata_size"
        ),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32", name="ck_domain_transfer_tokens_token_hash_sha256"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name="fk_domain_transfer_tokens_org_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["receiver_org_id"],
            ["orgs.id"],
            name="fk_domain_transfer_tokens_receiver_org_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_domain_transfer_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_domain_transfer_tokens_token_hash"),
    )
    op.create_index("ix_domain_transfer_tokens_domain", "domain_transfer_tokens", ["org_id", "domain_id"])
    op.create_index("ix_domain_transfer_tokens_receiver", "domain_transfer_tokens", ["receiver_org_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("domain_transfer_tokens")
    op.drop_table("domain_settings")
    op.drop_table("domain_registry")
    op.drop_table("orgs")
