"""What a post has besides its title and text: all of it optional, and kept with the content item."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

MAX_EXCERPT_CHARS = 2000
MAX_CATEGORIES = 20
MAX_TAGS = 50
#: Characters of a category's, a tag's and an author's name.
MAX_NAME_CHARS = 200
#: The most that a featured image may have.
MAX_IMAGE_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FeaturedMedia:
    """A media file of the org's that stands for a post, as the platform keeps it."""

    media_id: UUID
    object_key: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class PostDetails:
    """What is said of a post. What is None or empty is left to the remote service."""

    #: The post in a few words, as lists of posts show it.
    excerpt: str | None = None
    #: Names of categories and tags. The remote service's own are used; those it does not have are made where its user
    #: may do that.
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: Whose post it is there: their name, or the name in their address.
    author: str | None = None
    #: The date that it bears; never one to come.
    dated: datetime | None = None
    featured: FeaturedMedia | None = None

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to say."""
        return self == PostDetails()


class MediaFiles(Protocol):
    """Reads the org's media files."""

    def __call__(self, media: FeaturedMedia) -> bytes:
        """The file, whole.

        Raises:
            NotFound: it is nowhere.
            StorageUnavailable: the store does not answer; worth another attempt.
            InvalidInput: it is larger than MAX_IMAGE_BYTES.
        """
        ...
