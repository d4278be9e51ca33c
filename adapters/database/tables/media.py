"""Media files of a domain and the content that shows them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from .schema import bounded, count, enumerated, identifier, instant, metadata, of_domain, of_parent, org_id

media_assets = Table(
    "media_assets",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    #: Where its bytes are in the object store.
    bounded("object_key", 1024),
    bounded("media_type", 127),
    count("size_bytes"),
    #: `cooling`: the cold copy is the one to read, the hot one is being removed. `deleting`: nothing may refer to it
    #: any more (a trigger sees to it), its copies are being removed, and the row goes last.
    enumerated("storage", "hot", "cooling", "cold", "deleting"),
    #: When the cold copy became the one to read.
    instant("cold_at", nullable=True),
    instant("last_accessed_at", now=True),
    #: When it was made, or when the last reference to it ended (a trigger sees to it). Unreferenced media is an
    #: orphan from then on.
    instant("last_referenced_at", now=True),
    instant("created_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    UniqueConstraint("object_key"),
    CheckConstraint("storage <> 'cold' OR cold_at IS NOT NULL", name="cold_has_time"),
    of_domain(),
    Index("ix_media_assets_domain", "org_id", "domain_id"),
    Index("ix_media_assets_to_cool", "last_accessed_at", "id", postgresql_where=text("storage = 'hot'")),
    Index("ix_media_assets_last_referenced", "last_referenced_at", "id"),
    Index(
        "ix_media_assets_unfinished",
        "object_key",
        postgresql_where=text("storage IN ('cooling', 'deleting')"),
    ),
)

media_references = Table(
    "media_references",
    metadata,
    org_id(),
    identifier("media_id"),
    identifier("content_id"),
    #: Whether it stands for the content where that is published; one at most does.
    Column("is_featured", Boolean, nullable=False, server_default=text("false")),
    instant("created_at", now=True),
    PrimaryKeyConstraint("org_id", "media_id", "content_id"),
    of_parent("media_id", "media_assets"),
    of_parent("content_id", "content_items"),
    Index("ix_media_references_content", "org_id", "content_id"),
    Index(
        "uq_media_references_featured",
        "org_id",
        "content_id",
        unique=True,
        postgresql_where=text("is_featured"),
    ),
)
