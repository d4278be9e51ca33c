"""Publishes to a webhook: one signed POST, which the remote service recognises by its key when it comes again."""

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.credentials import WebhookCredentials
from adapters.net.http import HttpExchange, raise_for_refusal
from adapters.net.replies import CutShort, HttpReply, PassingRefusal, UnreadBody
from domain.errors import ProviderUnavailable
from domain.ports import Clock
from domain.post_details import PostDetails
from domain.publishing import MAX_EXTERNAL_ID_CHARS, Found, Journal, Post

from .reply_urls import usable_url
from .signatures import sign

#: Statuses with which a service puts off who repeats a key: another request with it is not through yet.
_AT_WORK = frozenset({409, 423, 425})

_NO_FILES = "the featured image was not sent: webhooks get texts"


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str | int | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookPublisher:
    """`domain.publishing.Publisher` for one webhook.

    The body is the JSON object `{"key", "title", "body"}`, with `excerpt`, `categories`, `tags`, `author` and `dated`
    (ISO 8601, UTC) where the content has them; files are not sent. `adapters.publishing.signatures` says what the
    headers hold and how they are checked. Any 2xx means that the post is published, or was before, whatever its body
    is. A JSON object in the reply may name the post's `id` and `url`. 409, 423 and 425 mean that an earlier request
    with the same key is still being worked on: it is asked again.

    Parameters:
        exchange: sends requests.
        address: where to.
        credentials: the secret that requests are signed with.
        clock: the time now.
    """

    exchange: HttpExchange
    address: str
    credentials: WebhookCredentials
    clock: Clock

    def find(self, post: Post, journal: Journal) -> Found | None:
        """None: the remote service recognises the key of a request that comes again."""
        return None

    def publish(self, post: Post, journal: Journal) -> Found:
        """Send the post; again under the same key, should the answer be lost."""
        timeout_s = journal.hold()
        details = post.details
        body = json.dumps(
            {"key": post.key, "title": post.title, "body": post.body, **_given(details)}
        ).encode()
        timestamp = str(int(self.clock().timestamp()))
        request = httpx.Request(
            "POST",
            self.address,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": post.key,
                "X-Pressroom-Timestamp": timestamp,
                "X-Pressroom-Signature": sign(self.credentials.secret.get_secret_value(), timestamp, body),
            },
            content=body,
        )
        reply = self._taken(request, timeout_s)
        raise_for_refusal(reply, request.url.host)
        found = _found(reply.body, post.key)
        return found if details.featured is None else replace(found, warnings=(_NO_FILES,))

    def _taken(self, request: httpx.Request, timeout_s: float) -> HttpReply:
        """The reply, whose body may be missing: with a 2xx the post was taken, whatever came behind it."""
        end = time.monotonic() + timeout_s
        taken: list[HttpReply] = []

        def step() -> HttpReply:
            try:
                reply = self.exchange.send(request, timeout_s=end - time.monotonic(), repeatable=False)
            except UnreadBody as error:
                reply = error.reply
            except CutShort as error:
                if error.reply.is_success:
                    taken.append(error.reply)
                raise
            if reply.status in _AT_WORK:
                raise PassingRefusal(
                    f"{request.url.host} answered {reply.status}: it is still at work on an earlier request with this "
                    "key; it is asked again later",
                    status=reply.status,
                )
            return reply

        try:
            return self.exchange.repeat(step, timeout_s=timeout_s)
        except ProviderUnavailable:
            if not taken:
                raise
            return taken[-1]


def _given(details: PostDetails) -> dict[str, object]:
    """What is said of the post; what is not said is not sent."""
    dated = None if details.dated is None else details.dated.astimezone(UTC).isoformat()
    every = {
        "excerpt": details.excerpt,
        "categories": list(details.categories),
        "tags": list(details.tags),
        "author": details.author,
        "dated": dated,
    }
    return {name: value for name, value in every.items() if value}


def _found(body: bytes, key: str) -> Found:
    # The status alone says that it is published; a reply in another form is as good as none.
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError:
        reply = _Reply()
    external_id = "" if reply.id is None else str(reply.id)
    is_usable = 0 < len(external_id) <= MAX_EXTERNAL_ID_CHARS and external_id.isprintable()
    return Found(
        external_id=external_id if is_usable else key,
        url=usable_url(reply.url),
        is_public=True,
    )
