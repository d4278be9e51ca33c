"""A job that the demo sent, what it is to leave, and where it all happens. Apart from the sending, which needs the
actors and so the servers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dramatiq import Message
from sqlalchemy import Engine

from app.dev.wordpress_site import WordPressSite
from app.settings import Settings

from .seed import Site


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The platform as the demo has set it up."""

    engine: Engine
    settings: Settings
    sites: Sequence[Site]
    #: Of the S3-compatible server.
    bucket: str
    #: What posts are published to.
    wordpress: WordPressSite
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Left:
    """What one job left."""

    count: int = 0
    size_bytes: int = 0
    took_s: float = 0.0
    #: In the fewest words that lead there.
    where: str = ""
    #: Opens it, if anything does.
    link: str | None = None
    #: Empty when everything is as it should be.
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A job that was sent."""

    job_id: UUID
    queue: str
    #: Whose, and where: an org's name and a domain's host, or the platform and all of them.
    org: str
    host: str
    #: The job in a few words.
    what: str
    #: Sees what it left.
    look: Callable[[], Left]


def sent(message: "Message[None]", site: Site | None, what: str, look: Callable[[], Left]) -> Sent:
    """A message that was sent, for a site or, without one, for the platform."""
    return Sent(
        job_id=UUID(message.message_id),
        queue=message.queue_name,
        org=site.org if site else "platform",
        host=site.host if site else "all orgs",
        what=what,
        look=look,
    )
