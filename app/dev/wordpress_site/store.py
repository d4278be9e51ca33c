"""The site's posts and users: who may do what, and which slug a post gets."""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

Status = Literal["publish", "future", "draft", "pending", "private", "trash"]
Role = Literal["editor", "author", "contributor", "subscriber"]

#: Statuses whose posts take a slug of their own at once.
UNIQUE = frozenset({"publish", "future", "private"})
#: Characters of a slug.
MAX_SLUG = 200

#: A little of what `wp_kses_post` takes out; what stands between the tags stays, as there.
_SCRIPTS = re.compile(r"</?(?:script|iframe|style|form|input|embed|object|svg)\b[^>]*>", re.IGNORECASE)
_HANDLERS = re.compile(r"""\son[a-z]+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_TRASHED = "__trashed"

_ROLES: Mapping[Role, tuple[str, ...]] = {
    "subscriber": ("read",),
    "contributor": ("read", "edit_posts", "delete_posts"),
    "author": ("read", "edit_posts", "delete_posts", "publish_posts", "upload_files"),
    "editor": (
        *("read", "edit_posts", "delete_posts", "publish_posts", "upload_files"),
        *("edit_others_posts", "manage_categories", "unfiltered_html"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class SiteUser:
    """Somebody who may sign in with an application password."""

    name: str
    application_password: str
    role: Role = "editor"
    display_name: str = ""

    @property
    def shown_name(self) -> str:
        """What readers see."""
        return self.display_name or self.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What their role may do."""
        return _ROLES[self.role]

    @property
    def may_edit(self) -> bool:
        """True if they may have posts at all."""
        return self.role != "subscriber"

    @property
    def may_publish(self) -> bool:
        """True if they may make them public."""
        return self.role in ("editor", "author")

    def kept(self, text: str) -> str:
        """What is kept of a text of theirs: without scripts, frames and handlers, unless they may write all HTML."""
        return text if "unfiltered_html" in self.capabilities else _HANDLERS.sub("", _SCRIPTS.sub("", text))

    def may_change(self, post: "SitePost") -> bool:
        """True if this very post is theirs to change or remove."""
        if self.role == "editor":
            return True
        own = self.may_edit and post.author == self.name
        return own and (self.may_publish or post.status not in UNIQUE)


@dataclass(frozen=True, kw_only=True)
class SitePost:
    """A post as the site keeps it."""

    id: int
    author: str
    title: str
    content: str
    status: str
    slug: str
    date: datetime
    excerpt: str = ""
    categories: tuple[int, ...] = (1,)
    tags: tuple[int, ...] = ()
    featured_media: int = 0
    #: What the slug was before the post went to the trash.
    desired_slug: str | None = None

    def as_record(self) -> dict[str, object]:
        """Plain values, for JSON."""
        lists = {"categories": list(self.categories), "tags": list(self.tags)}
        return {**asdict(self), **lists, "date": self.date.isoformat()}


@dataclass(frozen=True, kw_only=True)
class More:
    """What may be said of a new post besides."""

    excerpt: str = ""
    categories: tuple[int, ...] = (1,)
    tags: tuple[int, ...] = ()
    featured_media: int = 0
    date: datetime | None = None


class PostStore:
    """Posts in memory; threads may share it.

    Parameters:
        unique_drafts: whether a draft's slug is made unique when it is created, as the REST API of current versions
            does. Older ones wait until it becomes public, so that two drafts can have the same slug.
    """

    def __init__(self, *, unique_drafts: bool) -> None:
        self._unique_drafts = unique_drafts
        self._lock = threading.Lock()
        self._posts: dict[int, SitePost] = {}
        self._last_id = 0

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._posts.clear()
            self._last_id = 0

    def all(self) -> list[SitePost]:
        """Every post, the trash included, the oldest first."""
        with self._lock:
            return list(self._posts.values())

    def get(self, post_id: int) -> SitePost | None:
        """The post with this id."""
        with self._lock:
            return self._posts.get(post_id)

    def create(
        self, *, author: str, title: str, content: str, status: str, slug: str, more: "More | None" = None
    ) -> SitePost:
        """A new post."""
        more = more or More()
        with self._lock:
            self._last_id += 1
            post = SitePost(
                id=self._last_id,
                author=author,
                title=title,
                content=content,
                status=status,
                slug=self._slug(slug or _slug_of_title(title, status), self._last_id, status, creating=True),
                date=more.date or datetime.now(UTC),
                excerpt=more.excerpt,
                categories=more.categories,
                tags=more.tags,
                featured_media=more.featured_media,
            )
            self._posts[post.id] = post
            return post

    def update(
        self, post_id: int, *, title: str | None, content: str | None, status: str | None, slug: str | None
    ) -> SitePost | None:
        """The post with what is not None changed; None when there is no such post."""
        with self._lock:
            before = self._posts.get(post_id)
            if before is None:
                return None
            new_status = status or before.status
            wanted = before.slug if slug is None else slug
            if before.status == "trash" and new_status != "trash":
                wanted = before.desired_slug or wanted
            post = replace(
                before,
                title=before.title if title is None else title,
                content=before.content if content is None else content,
                status=new_status,
                slug=self._slug(
                    wanted or _slug_of_title(before.title, new_status),
                    post_id,
                    new_status,
                    creating=slug is not None,
                ),
                desired_slug=None if new_status != "trash" else before.desired_slug,
            )
            self._posts[post_id] = post
            return post

    def trash(self, post_id: int) -> SitePost | None:
        """Move a post to the trash; its slug is free again."""
        with self._lock:
            before = self._posts.get(post_id)
            if before is None:
                return None
            slug = before.slug[: MAX_SLUG - len(_TRASHED)] + _TRASHED
            self._posts[post_id] = replace(before, status="trash", slug=slug, desired_slug=before.slug)
            return self._posts[post_id]

    def remove(self, post_id: int) -> SitePost | None:
        """Remove a post for good."""
        with self._lock:
            return self._posts.pop(post_id, None)

    def _slug(self, wanted: str, post_id: int, status: str, *, creating: bool) -> str:
        wanted = wanted[:MAX_SLUG]
        if not wanted or not (status in UNIQUE or (creating and self._unique_drafts)):
            return wanted
        taken = {post.slug for post in self._posts.values() if post.id != post_id}
        return next(slug for slug in variants(wanted) if slug not in taken)


def variants(slug: str) -> Iterable[str]:
    """The slug, and what is tried where it is taken."""
    yield slug
    number = 2
    while True:
        suffix = f"-{number}"
        yield slug[: MAX_SLUG - len(suffix)] + suffix
        number += 1


def sluggish(name: str) -> str:
    """A slug made of a name."""
    words = "".join(each if each.isascii() and each.isalnum() else " " for each in name.lower()).split()
    return "-".join(words)


def _slug_of_title(title: str, status: str) -> str:
    # A draft without a slug gets none: its title may still change.
    return sluggish(title) if status in UNIQUE else ""
