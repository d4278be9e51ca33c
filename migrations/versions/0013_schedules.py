"""Schedules that orgs add at run time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013_schedules"
down_revision = "0012_outbox"
branch_labels = None
depends_on = None

CURRENT_ORG = "NULLIF(current_setting('app.org', true), '')::uuid"


def upgrade() -> None:
    """The table, closed to other orgs like all of its kind."""
    op.create_table(
        "schedules",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("tz", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_message_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(name) <= 100", name="ck_schedules_name_length"),
        sa.CheckConstraint("char_length(actor) <= 200", name="ck_schedules_actor_length"),
        sa.CheckConstraint("char_length(expression) <= 200", name="ck_schedules_expression_length"),
        sa.CheckConstraint("char_length(tz) <= 64", name="ck_schedules_tz_length"),
        sa.CheckConstraint("octet_length(payload::text) <= 65536", name="ck_schedules_payload_size"),
        sa.CheckConstraint("missed IN ('skip', 'coalesce')", name="ck_schedules_missed"),
        sa.CheckConstraint("char_length(error) <= 2000", name="ck_schedules_error_length"),
        sa.CheckConstraint("char_length(created_by) <= 256", name="ck_schedules_created_by_length"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("org_id", "name", name="uq_schedules_org_id_name"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_schedules_org_id", ondelete="CASCADE"),
    )
    op.create_index(
        "ix_schedules_due", "schedules", ["next_due_at", "id"], postgresql_where=sa.text("NOT paused")
    )
    op.execute("ALTER TABLE schedules ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant ON schedules USING (org_id = {CURRENT_ORG}) WITH CHECK (org_id = {CURRENT_ORG})"
    )
    op.execute("CREATE POLICY system ON schedules TO pressroom_system USING (true) WITH CHECK (true)")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO pressroom_worker, pressroom_system")


def downgrade() -> None:
    """The table goes, and every schedule with it."""
    op.drop_table("schedules")
