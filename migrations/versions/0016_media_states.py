"""Media on its way: between hot and cold storage, and out of the platform."""

import sqlalchemy as sa
from alembic import op

revision = "0016_media_states"
down_revision = "0015_export_owner"
branch_labels = None
depends_on = None

STORAGE = "ck_media_assets_storage"
BEFORE = "'hot', 'cold'"
NOW = "'hot', 'cooling', 'cold', 'deleting'"

# The lock is the one that a foreign key takes. It makes whoever adds a reference and whoever condemns the asset wait
# for each other, whichever comes first: a condemned asset has no reference, and gets none.
REFUSE = """
CREATE FUNCTION media_reference_begun() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF 'deleting' = (
        SELECT storage FROM media_assets WHERE org_id = NEW.org_id AND id = NEW.media_id FOR KEY SHARE
    ) THEN
        RAISE EXCEPTION 'this media is being deleted' USING ERRCODE = 'foreign_key_violation',
            TABLE = 'media_references', CONSTRAINT = 'media_reference_begun';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    """Add two states, a way to find what is in them, and the trigger that keeps references off the second."""
    op.drop_constraint(STORAGE, "media_assets")
    op.create_check_constraint(STORAGE, "media_assets", f"storage IN ({NOW})")
    op.create_index(
        "ix_media_assets_unfinished",
        "media_assets",
        ["object_key"],
        postgresql_where=sa.text("storage IN ('cooling', 'deleting')"),
    )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER media_reference_begun BEFORE INSERT ON media_references "
        "FOR EACH ROW EXECUTE FUNCTION media_reference_begun()"
    )
    op.execute(
        "CREATE TRIGGER media_reference_moved BEFORE UPDATE ON media_references FOR EACH ROW "
        "WHEN (OLD.media_id IS DISTINCT FROM NEW.media_id) EXECUTE FUNCTION media_reference_begun()"
    )


def downgrade() -> None:
    """Take them back. What was cooling is cold; what was being deleted is what it was before."""
    op.execute("DROP TRIGGER media_reference_begun ON media_references")
    op.execute("DROP TRIGGER media_reference_moved ON media_references")
    op.execute("DROP FUNCTION media_reference_begun()")
    op.drop_index("ix_media_assets_unfinished", "media_assets")
    op.drop_constraint(STORAGE, "media_assets")
    op.execute("UPDATE media_assets SET storage = 'cold' WHERE storage = 'cooling'")
    op.execute(
        "UPDATE media_assets SET storage = CASE WHEN cold_at IS NULL THEN 'hot' ELSE 'cold' END "
        "WHERE storage = 'deleting'"
    )
    op.create_check_constraint(STORAGE, "media_assets", f"storage IN ({BEFORE})")
