"""Media and the content that shows it, with the trigger that notes when a reference ends."""

import sqlalchemy as sa
from alembic import op

revision = "0003_media"
down_revision = "0002_content"
branch_labels = None
depends_on = None

# However a reference ends, also by the deletion of the content, the asset's time as an orphan starts then. A cascade
# may run the trigger as the owner of the table, to whom the asset exists only while its org is the current one.
NOTE_THE_END = """
CREATE FUNCTION media_reference_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    current_org text := coalesce(current_setting('app.org', true), '');
BEGIN
    PERFORM set_config('app.org', OLD.org_id::text, true);
    UPDATE media_assets SET last_referenced_at = now() WHERE org_id = OLD.org_id AND id = OLD.media_id;
    PERFORM set_config('app.org', current_org, true);
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "media_assets",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("cold_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "last_accessed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "last_referenced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("storage <> 'cold' OR cold_at IS NOT NULL", name="ck_media_assets_cold_has_time"),
        sa.CheckConstraint("storage IN ('hot', 'cold')", name="ck_media_assets_storage"),
        sa.CheckConstraint("char_length(media_type) <= 127", name="ck_media_assets_media_type_length"),
        sa.CheckConstraint("char_length(object_key) <= 1024", name="ck_media_assets_object_key_length"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_media_assets_size_bytes_not_negative"),
        sa.ForeignKeyConstraint(
            ["org_id", "domain_id"],
            ["domain_registry.org_id", "domain_registry.id"],
            name="fk_media_assets_org_id_domain_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name="pk_media_assets"),
        sa.UniqueConstraint("object_key", name="uq_media_assets_object_key"),
    )
    op.create_index("ix_media_assets_domain", "media_assets", ["org_id", "domain_id"])
    op.create_index("ix_media_assets_last_referenced", "media_assets", ["last_referenced_at", "id"])
    op.create_index(
        "ix_media_assets_to_cool",
        "media_assets",
        ["last_accessed_at", "id"],
        postgresql_where=sa.text("storage = 'hot'"),
    )
    op.create_table(
        "media_references",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "content_id"],
            ["content_items.org_id", "content_items.id"],
            name="fk_media_references_org_id_content_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "media_id"],
            ["media_assets.org_id", "media_assets.id"],
            name="fk_media_references_org_id_media_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "media_id", "content_id", name="pk_media_references"),
    )
    op.create_index("ix_media_references_content", "media_references", ["org_id", "content_id"])
    op.execute(NOTE_THE_END)
    op.execute(
        "CREATE TRIGGER media_reference_ended AFTER DELETE ON media_references "
        "FOR EACH ROW EXECUTE FUNCTION media_reference_ended()"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("media_references")
    op.drop_table("media_assets")
    op.execute("DROP FUNCTION media_reference_ended()")
