"""Experiments, variants and runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_experiments"
down_revision = "0004_publishing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "experiments",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'ready', 'running', 'paused', 'completed', 'archived')",
            name="ck_experiments_status",
        ),
        sa.CheckConstraint("char_length(name) <= 200", name="ck_experiments_name_length"),
        sa.CheckConstraint("octet_length(metadata::text) <= 65536", name="ck_experiments_metadata_size"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_experiments_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_experiments"),
    )
    op.create_index("ix_experiments_domain", "experiments", ["org_id", "domain_id"])
    op.create_table(
        "experiment_variants",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("weight", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.CheckConstraint("char_length(name) <= 200", name="ck_experiment_variants_name_length"),
        sa.CheckConstraint(
            "octet_length(settings::text) <= 65536", name="ck_experiment_variants_settings_size"
        ),
        sa.CheckConstraint("weight >= 0", name="ck_experiment_variants_weight_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "experiment_id"],
            ["experiments.org_id", "experiments.id"],
            name="fk_experiment_variants_org_id_experiment_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_experiment_variants"),
        sa.UniqueConstraint(
            "org_id", "experiment_id", "name", name="uq_experiment_variants_org_id_experiment_id_name"
        ),
    )
    op.create_table(
        "experiment_runs",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("triggered_by", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (ended_at IS NULL)", name="ck_experiment_runs_ended_has_time"
        ),
        sa.CheckConstraint("status IN ('running', 'completed', 'stopped')", name="ck_experiment_runs_status"),
        sa.CheckConstraint("char_length(triggered_by) <= 256", name="ck_experiment_runs_triggered_by_length"),
        sa.CheckConstraint("octet_length(metadata::text) <= 65536", name="ck_experiment_runs_metadata_size"),
        sa.ForeignKeyConstraint(
            ["org_id", "experiment_id"],
            ["experiments.org_id", "experiments.id"],
            name="fk_experiment_runs_org_id_experiment_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_experiment_runs"),
    )
    op.create_index(
        "ix_experiment_runs_newest",
        "experiment_runs",
        ["org_id", "experiment_id", sa.text("started_at DESC")],
    )
    op.create_index(
        "uq_experiment_runs_running",
        "experiment_runs",
        ["org_id", "experiment_id"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("experiment_runs")
    op.drop_table("experiment_variants")
    op.drop_table("experiments")
