"""What is said of a post, read beside its content: the content's own columns, and the media that stands for it."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, and_, func

from domain.post_details import FeaturedMedia, PostDetails

from .tables import content_items, media_assets, media_references

#: Columns that `details_of` reads.
DETAILS = (
    content_items.c.excerpt,
    content_items.c.categories,
    content_items.c.tags,
    content_items.c.author,
    content_items.c.dated,
    (content_items.c.dated > func.now()).label("is_dated_ahead"),
    media_assets.c.id.label("media_id"),
    media_assets.c.object_key,
    media_assets.c.media_type,
    media_assets.c.size_bytes,
)
#: Where the last of them come from: an outer join's right side.
FEATURED = media_references.join(media_assets)


def is_featured_of(org_id: ColumnElement[object], content_id: ColumnElement[object]) -> ColumnElement[bool]:
    """Tell a reference to the media that stands for the content."""
    references = media_references.c
    return and_(references.org_id == org_id, references.content_id == content_id, references.is_featured)


def details_of(row: RowMapping) -> PostDetails:
    """What a row with those columns says."""
    featured = None
    if row["media_id"] is not None:
        featured = FeaturedMedia(
            media_id=row["media_id"],
            object_key=row["object_key"],
            media_type=row["media_type"],
            size_bytes=row["size_bytes"],
        )
    return PostDetails(
        excerpt=row["excerpt"] or None,
        categories=_names(row["categories"]),
        tags=_names(row["tags"]),
        author=next(iter(_names([row["author"]])), None),
        dated=row["dated"],
        featured=featured,
    )


def _names(given: Sequence[str | None]) -> tuple[str, ...]:
    """Names without what is none, each once."""
    return tuple(dict.fromkeys(name for each in given if (name := " ".join((each or "").split()))))
