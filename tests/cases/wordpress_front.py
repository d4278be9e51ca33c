"""A WordPress site behind something that stands in front of it: a web server, a cache, other permalinks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr

from adapters.credentials import CredentialBox, WordPressCredentials
from adapters.publishing import SitePublishers
from app.dev.wordpress_site import SiteUser, WordPressSite, wordpress_site
from domain.publishing import Post, PublishTarget, RetryOptions
from tests.cases.http_servers import LOOPBACK, Reply, Request, http_server
from tests.cases.kit import in_short

USER = SiteUser(name="editor", application_password="abcd efgh ijkl mnop")

#: What of the site's headers a client needs.
_KEPT_OF_REPLIES = ("content-type", "x-wp-total", "x-wp-totalpages")
_KEPT_BY_CONNECTIONS = ("host", "content-length", "connection")

#: Hands a request on to the site, with another path or other headers if given.
Forward = Callable[..., Reply]


@dataclass(frozen=True)
class Tried:
    """What came of checking such a site and publishing to it."""

    check: str
    #: What publishing returned, or raised.
    publish: object
    #: Slug and status of the posts that the site has afterwards.
    posts: list[tuple[str, str]]


class Journal:
    """Remembers the draft, as a job does."""

    draft_id: str | None = None

    def hold(self) -> float:
        """Seconds that it is ours."""
        return 20.0

    def remember(self, draft_id: str) -> None:
        """The draft was made."""
        self.draft_id = draft_id

    def disown(self, draft_id: str) -> bool:
        """True when it is none of this job's."""
        return draft_id != self.draft_id


def trial(front: Callable[[Request, Forward], Reply]) -> Tried:
    """Check and publish to a site that is reached through `front(request, forward)`."""
    with (
        wordpress_site(users=[USER]) as site,
        http_server(lambda asked: front(asked, _to(site, asked))) as address,
    ):
        box = CredentialBox([SecretStr("k" * 32)])
        target = _target(box, uuid4(), address)
        with SitePublishers(lambda: box, LOOPBACK) as publishers:
            try:
                found = publishers.check(target, timeout_s=10)
                check = f"ready={found.is_ready}: {found.message}"
            except Exception as error:  # noqa: BLE001  # it is the answer
                check = in_short(error)
            publisher = publishers(target, RetryOptions(retries=2, backoff_ms=100))
            post = Post(key="my-post-0123abcd", title="My post", body="<p>Hi</p>")
            published: object
            try:
                published = publisher.publish(post, Journal())
            except Exception as error:  # noqa: BLE001  # it is the answer
                published = error
        return Tried(check, published, [(each.slug, each.status) for each in site.posts()])


def _target(box: CredentialBox, target_id: UUID, address: str) -> PublishTarget:
    secret = WordPressCredentials(
        username=USER.name, application_password=SecretStr(USER.application_password)
    )
    return PublishTarget(
        target_id=target_id,
        adapter="wordpress",
        address=address,
        credentials=box.encrypt(target_id, secret),
    )


def _to(site: WordPressSite, asked: Request) -> Forward:
    def forward(path: str = asked.path, headers: Mapping[str, str] = asked.headers) -> Reply:
        kept = {name: value for name, value in headers.items() if name.lower() not in _KEPT_BY_CONNECTIONS}
        reply = httpx.request(asked.method, site.url + path, headers=kept, content=asked.body)
        back = {name: value for name, value in reply.headers.items() if name in _KEPT_OF_REPLIES}
        return Reply(reply.status_code, reply.content, back)

    return forward
