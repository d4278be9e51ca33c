"""What a dead letter tells beside its payload: class of error, options, what was taken out, what an edit changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_dead_letters"
down_revision = "0010_attempt_history"
branch_labels = None
depends_on = None

TABLE = "publishing_dlq"
COLUMNS = ("error_class", "options", "redacted", "first_at", "replay_of", "changes")


def upgrade() -> None:
    """Add the columns, and an index for the pages of one category."""
    empty = sa.text("'[]'::jsonb")
    op.add_column(TABLE, sa.Column("error_class", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("options", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column(TABLE, sa.Column("redacted", postgresql.JSONB(), server_default=empty, nullable=False))
    op.add_column(TABLE, sa.Column("first_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("replay_of", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("changes", postgresql.JSONB(), server_default=empty, nullable=False))
    for name, check in (
        ("error_class_length", "char_length(error_class) <= 300"),
        ("options_size", "octet_length(options::text) <= 2097152"),
        ("redacted_size", "octet_length(redacted::text) <= 2097152"),
        ("replay_of_length", "char_length(replay_of) <= 200"),
        ("changes_size", "octet_length(changes::text) <= 262144"),
    ):
        op.create_check_constraint(op.f(f"ck_publishing_dlq_{name}"), TABLE, check)
    op.create_index(
        "ix_publishing_dlq_category_newest",
        TABLE,
        ["org_id", "error_category", sa.text("created_at DESC"), sa.text("id DESC")],
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_publishing_dlq_category_newest", TABLE)
    for name in COLUMNS:
        op.drop_column(TABLE, name)
