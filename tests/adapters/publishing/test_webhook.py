"""Publishing to a webhook: one signed POST, repeated under its key when the answer is lost."""

import json
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from adapters.publishing import verify_signature
from domain.errors import AuthFailed, InvalidReply, JobError, LeaseLost, ProviderUnavailable
from domain.post_details import FeaturedMedia, PostDetails
from domain.publishing import Found, Post
from tests.adapters.ai.scripted_server import (
    Received,
    Reply,
    ScriptedServer,
    answer,
    hang_up,
    hold,
    scripted_server,
)

from .conftest import RETRIES, Way
from .journals import MemoryJournal

SECRET = "whsec planted 0123456789"
POST = Post(key="crumbs-36b1b0bafdaf", title="Na\u00efve", body="<p>\u03b5\u03bb</p>")


@pytest.fixture
def hook() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script(answer(200))
        yield server


def is_signed(request: Received) -> bool:
    """Whether the request passes the check that is documented for receivers."""
    headers = request.headers
    return verify_signature(
        SECRET,
        headers["X-Pressroom-Timestamp"],
        headers["X-Pressroom-Signature"],
        request.body,
        now_s=time.time(),
    )


def test_a_post_is_sent(hook: ScriptedServer, way: Way) -> None:
    """As JSON, with its key as Idempotency-Key, signed with the secret, which itself is not sent."""
    found = way.webhook(f"{hook.url}/hooks/posts", SECRET).publish(POST, MemoryJournal())

    (request,) = hook.received
    assert (request.method, request.path) == ("POST", "/hooks/posts")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == POST.key
    assert json.loads(request.body) == {"key": POST.key, "title": POST.title, "body": POST.body}
    assert is_signed(request)
    assert "planted" not in f"{request.headers} {request.body!r}"
    assert found == Found(external_id=POST.key, url=None, is_public=True)


def test_what_is_said_of_a_post_is_sent(hook: ScriptedServer, way: Way) -> None:
    """As far as it is text, and only what is said; an image is not, and the result says so."""
    media = FeaturedMedia(media_id=UUID(int=1), object_key="a", media_type="image/png", size_bytes=1)
    dated = datetime(2021, 5, 6, 7, tzinfo=timezone(timedelta(hours=2)))
    details = PostDetails(excerpt="Short", tags=("slow",), author="Bo", dated=dated, featured=media)

    found = way.webhook(hook.url, SECRET).publish(replace(POST, details=details), MemoryJournal())

    assert json.loads(hook.received[0].body) == {
        "key": POST.key,
        "title": POST.title,
        "body": POST.body,
        "excerpt": "Short",
        "tags": ["slow"],
        "author": "Bo",
        "dated": "2021-05-06T05:00:00+00:00",
    }
    assert "image was not sent" in found.warnings[0]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_will_do(hook: ScriptedServer, way: Way, status: int) -> None:
    """Also without a body."""
    hook.script(answer(status))
    assert way.webhook(hook.url, SECRET).publish(POST, MemoryJournal()).is_public


@pytest.mark.parametrize(
    ("body", "external_id", "url"),
    [
        (b'{"id": "p-7", "url": "https://blog.example/p-7"}', "p-7", "https://blog.example/p-7"),
        (b'{"id": 7, "more": true}', "7", None),
        (b'{"url": "https://blog.example/p-7"}', POST.key, "https://blog.example/p-7"),
        (b'{"id": null, "url": null}', POST.key, None),
        (b'{"id": "", "url": "javascript:alert(1)"}', POST.key, None),
        (b'{"id": "a\\u0000b", "url": "https://blog.example/\\u0000"}', POST.key, None),
        (b'{"id": "%s", "url": "https://%s"}' % (b"i" * 513, b"u" * 2048), POST.key, None),
        (b'["p-7"]', POST.key, None),
        (b"<html>thank you", POST.key, None),
        (b"\xff", POST.key, None),
    ],
)
def test_the_reply_may_say_where_it_is(
    hook: ScriptedServer, way: Way, body: bytes, external_id: str, url: str | None
) -> None:
    """What cannot be used is left alone: the status alone says that it is published."""
    hook.script(answer(200, body))

    found = way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())

    assert (found.external_id, found.url) == (external_id, url)


BODIES = {
    "compressed": answer(200, b"\x1f\x8b\x08planted", Content_Encoding="gzip"),
    "an encoding that is none": answer(201, b'{"id": 5}', Content_Encoding="utf-8"),
    "too large": answer(200, b"x" * 2_000_000),
    "cut short": hang_up(b"{"),
    "chunks that are none": answer(202, b"planted", Transfer_Encoding="chunked"),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_success_is_one_whatever_its_body(hook: ScriptedServer, way: Way, body: str) -> None:
    """Somebody would publish again by hand what is called a failure; without a body there is no id of theirs."""
    hook.script(BODIES[body])

    found = way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())

    assert found == Found(external_id=POST.key, url=None, is_public=True)


def test_a_success_counts_though_later_answers_fail(hook: ScriptedServer, way: Way) -> None:
    """The first request was taken: what comes after a cut answer takes nothing back."""
    hook.script(BODIES["cut short"], *[answer(500)] * RETRIES)

    assert way.webhook(hook.url, SECRET).publish(POST, MemoryJournal()).is_public
    assert len(hook.received) == 1 + RETRIES


def test_a_refusal_is_one_whatever_its_body(hook: ScriptedServer, way: Way) -> None:
    """A compressed page is no reason to look for compression."""
    hook.script(answer(403, b"planted", Content_Encoding="gzip"))
    with pytest.raises(AuthFailed, match="403"):
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())


@pytest.mark.parametrize("status", [409, 423, 425])
def test_a_key_that_is_still_at_work_is_asked_for_again(hook: ScriptedServer, way: Way, status: int) -> None:
    """The earlier request with the key may be through by then; if it never is, that is an outage and no refusal."""
    hook.script(answer(status), answer(200, b'{"id": "p-7"}'))
    assert way.webhook(hook.url, SECRET).publish(POST, MemoryJournal()).external_id == "p-7"
    assert len({request.headers["Idempotency-Key"] for request in hook.received}) == 1

    hook.script(answer(status))
    with pytest.raises(ProviderUnavailable, match=str(status)):
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())


@pytest.mark.parametrize(
    "fault",
    [answer(429, Retry_After="1"), answer(500), answer(503), hang_up(), hang_up(b"{"), hold()],
    ids=["429", "500", "503", "closed", "cut short", "silence"],
)
def test_a_lost_answer_is_asked_for_again(hook: ScriptedServer, hasty: Way, fault: Reply) -> None:
    """The same body under the same key, signed."""
    hook.script(fault, answer(200, b'{"id": "p-7"}'))

    found = hasty.webhook(hook.url, SECRET).publish(POST, MemoryJournal())

    assert found.external_id == "p-7"
    first, second = hook.received
    assert first.body == second.body
    assert {request.headers["Idempotency-Key"] for request in hook.received} == {POST.key}
    assert all(is_signed(request) for request in hook.received)


def test_a_hook_that_stays_down_is_an_outage(hook: ScriptedServer, way: Way) -> None:
    """After the retries; with a long `Retry-After`, at once."""
    hook.script(answer(500))
    with pytest.raises(ProviderUnavailable):
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())
    assert len(hook.received) == 1 + RETRIES

    hook.script(answer(429, Retry_After="600"))
    with pytest.raises(ProviderUnavailable) as caught:
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal())
    assert caught.value.retry_after_s == 600.0
    assert len(hook.received) == 2 + RETRIES


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, AuthFailed, "credentials"),
        (403, AuthFailed, "credentials"),
        (400, InvalidReply, "400"),
        (404, InvalidReply, "check the address"),
        (410, InvalidReply, "410"),
        (302, InvalidReply, "redirect"),
    ],
)
def test_a_refusal_is_final(
    hook: ScriptedServer, way: Way, status: int, kind: type[JobError], says: str
) -> None:
    """Once, without quoting address, secret or reply."""
    hook.script(answer(status, b"planted", Location=f"{hook.url}/planted"))

    with pytest.raises(kind, match=says) as caught:
        way.webhook(f"{hook.url}/hooks/planted", SECRET).publish(POST, MemoryJournal())

    assert len(hook.received) == 1
    assert "planted" not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_finding_is_left_to_the_remote_service(hook: ScriptedServer, way: Way) -> None:
    """Nothing is asked: it recognises the key."""
    assert way.webhook(hook.url, SECRET).find(POST, MemoryJournal()) is None
    assert hook.received == []


def test_a_lost_lease_stops_before_the_call(hook: ScriptedServer, way: Way) -> None:
    """Nothing was sent."""
    with pytest.raises(LeaseLost):
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal(lost_after=0))
    assert hook.received == []


def test_no_call_outlives_the_lease(hook: ScriptedServer, way: Way) -> None:
    """What `hold` gave bounds the call with its retries."""
    hook.script(hold())
    with pytest.raises(ProviderUnavailable):
        way.webhook(hook.url, SECRET).publish(POST, MemoryJournal(hold_s=0.1))
    assert len(hook.received) == 1
