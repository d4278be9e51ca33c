"""Content has an excerpt, categories, tags, an author and a date, and a reference may be to its featured media."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0018_post_details"
down_revision = "0017_org_shares"
branch_labels = None
depends_on = None

# A check must not look at the clock. A minute is for clocks that differ.
REFUSE = """
CREATE FUNCTION content_dated_ahead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.dated > clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'content bears no date to come; schedule it with publish_at' USING ERRCODE = 'check_violation',
            TABLE = 'content_items', CONSTRAINT = 'content_dated_ahead';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    """Add the columns, and the trigger that keeps dates to come off."""
    op.add_column("content_items", sa.Column("excerpt", sa.Text(), nullable=True))
    for name in ("categories", "tags"):
        column: sa.Column[list[str]] = sa.Column(
            name, ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        )
        op.add_column("content_items", column)
    op.add_column("content_items", sa.Column("author", sa.Text(), nullable=True))
    op.add_column("content_items", sa.Column("dated", sa.DateTime(timezone=True), nullable=True))
    for name, condition in (
        ("excerpt_length", "char_length(excerpt) <= 2000"),
        ("categories_number", "cardinality(categories) <= 20"),
        ("tags_number", "cardinality(tags) <= 50"),
        ("author_length", "char_length(author) <= 200"),
        ("dated_in_calendar", "dated >= '1900-01-01 00:00:00+00'"),
    ):
        op.create_check_constraint(f"ck_content_items_{name}", "content_items", condition)
    op.add_column(
        "media_references",
        sa.Column("is_featured", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "uq_media_references_featured",
        "media_references",
        ["org_id", "content_id"],
        unique=True,
        postgresql_where=sa.text("is_featured"),
    )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER content_dated_ahead BEFORE INSERT OR UPDATE OF dated ON content_items FOR EACH ROW "
        "EXECUTE FUNCTION content_dated_ahead()"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TRIGGER content_dated_ahead ON content_items")
    op.execute("DROP FUNCTION content_dated_ahead()")
    op.drop_index("uq_media_references_featured", "media_references")
    op.drop_column("media_references", "is_featured")
    for name in ("dated", "author", "tags", "categories", "excerpt"):
        op.drop_column("content_items", name)
