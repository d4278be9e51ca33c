"""The HTTP source of feedback, against a server that answers as it was told."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.feedback_source import MAX_PAGE_EVENTS, HttpFeedbackSource, read_page
from adapters.net.http import RETRIES, HttpExchange
from domain.errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable
from domain.feedback import Entity, FeedbackEvent, FeedbackPage, FeedbackQuery, FeedbackSource
from tests.adapters.ai.scripted_server import (
    ScriptedServer,
    answer,
    hang_up,
    hold,
    refused_url,
    scripted_server,
)

ORG = UUID(int=1)
TOKEN = "s3cret-token"
AT = "2026-03-01T12:00:00Z"
EVENT: dict[str, object] = {"event_id": "e1", "rating": 5, "occurred_at": AT}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def exchange() -> Iterator[HttpExchange]:
    with (
        httpx.Client(trust_env=False) as client,
        stamina.set_testing(True, attempts=1 + RETRIES, cap=True),
    ):
        yield HttpExchange(client, now=lambda: datetime.now(UTC))


def page(*events: dict[str, object], **fields: object) -> bytes:
    return json.dumps({"events": list(events), **fields}).encode()


def asked(**changed: object) -> FeedbackQuery:
    given = {"org_id": ORG, "entity": Entity("content", "post-1"), "since": datetime(2026, 1, 1, tzinfo=UTC)}
    return FeedbackQuery(**given | changed)  # type: ignore[arg-type]


def fetched(
    exchange: HttpExchange,
    server: ScriptedServer,
    query: FeedbackQuery | None = None,
    token: str | None = None,
) -> FeedbackPage:
    # The assignment is a test for type checkers: this is the domain's port.
    source: FeedbackSource = HttpFeedbackSource(
        exchange, base_url=f"{server.url}/v1/", token=None if token is None else SecretStr(token)
    )
    return source.events(query or asked(), timeout_s=5)


def test_a_page_is_read(exchange: HttpExchange, server: ScriptedServer) -> None:
    """Events as a job would bring them, and where the next page begins."""
    other: dict[str, object] = {
        "event_id": "e2",
        "sentiment": "negative",
        "comment": "No. Нет.",
        "occurred_at": AT,
    }
    server.script(answer(200, page(EVENT, other, next_cursor="p2")))

    assert fetched(exchange, server) == FeedbackPage(
        events=[
            FeedbackEvent(event_id="e1", rating=5.0, occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC)),
            FeedbackEvent(
                event_id="e2",
                sentiment="negative",
                comment="No. Нет.",
                occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
            ),
        ],
        next_cursor="p2",
    )


@pytest.mark.parametrize("last", [{}, {"next_cursor": None}])
def test_the_last_page_leads_nowhere(
    exchange: HttpExchange, server: ScriptedServer, last: dict[str, object]
) -> None:
    """Without a cursor, or with null."""
    server.script(answer(200, page(**last)))

    assert fetched(exchange, server) == FeedbackPage(events=[], next_cursor=None)


@pytest.mark.parametrize("identity", ["post-1", "a/b?c=d&e#f", "ü 你 \U0001f600", "+1 %20", "../../admin"])
@pytest.mark.parametrize("cursor", [None, "p2", "a+b/c==&x=1"])
def test_a_question_says_whose_and_from_where(
    exchange: HttpExchange, server: ScriptedServer, identity: str, cursor: str | None
) -> None:
    """Whatever an id or a cursor is made of, it arrives as it is and nowhere else."""
    server.script(answer(200, page()))
    paris = timezone(timedelta(hours=1))
    since = datetime(2026, 1, 1, 1, tzinfo=paris)
    fetched(exchange, server, asked(entity=Entity("user", identity), cursor=cursor, since=since))

    [request] = server.received
    url = urlsplit(request.path)
    assert (request.method, url.path) == ("GET", "/v1/events")
    assert parse_qs(url.query) == {
        "org_id": [str(ORG)],
        "entity_type": ["user"],
        "entity_id": [identity],
        "since": ["2026-01-01T00:00:00Z"],
        **({} if cursor is None else {"cursor": [cursor]}),
    }


@pytest.mark.parametrize(("token", "header"), [(None, None), (TOKEN, f"Bearer {TOKEN}")])
def test_the_token_goes_along(
    exchange: HttpExchange, server: ScriptedServer, token: str | None, header: str | None
) -> None:
    """As a bearer token, or not at all."""
    server.script(answer(200, page()))
    fetched(exchange, server, token=token)

    assert server.received[0].headers.get("Authorization") == header


@pytest.mark.parametrize("outage", [answer(503), answer(429, Retry_After="0"), hang_up(), hang_up(b'{"e')])
def test_an_outage_is_asked_again(exchange: HttpExchange, server: ScriptedServer, outage: object) -> None:
    """Asking does no harm, however it ended before."""
    server.script(outage, answer(200, page(EVENT)))  # type: ignore[arg-type]

    assert len(fetched(exchange, server).events) == 1
    assert len(server.received) == 2


def test_an_outage_that_lasts_is_worth_another_attempt(
    exchange: HttpExchange, server: ScriptedServer
) -> None:
    """The error names the host and keeps the time that the remote service asked for."""
    server.script(answer(503, Retry_After="60"))

    with pytest.raises(ProviderUnavailable, match="answered 503") as caught:
        fetched(exchange, server)
    assert caught.value.retry_after_s == 60


def test_a_host_that_is_not_there_is_an_outage(exchange: HttpExchange) -> None:
    """Connection refused is no fault of ours."""
    with refused_url() as url, pytest.raises(ProviderUnavailable):
        HttpFeedbackSource(exchange, base_url=url, token=None).events(asked(), timeout_s=5)


@pytest.mark.parametrize("silence", [hold(), hold(b'{"events": [')], ids=["at once", "half way"])
def test_silence_ends_in_time(exchange: HttpExchange, server: ScriptedServer, silence: object) -> None:
    """A remote service that says nothing more is an outage when the time is up."""
    server.script(silence)  # type: ignore[arg-type]
    source = HttpFeedbackSource(exchange, base_url=server.url, token=None)

    with pytest.raises(ProviderUnavailable, match="in time"):
        source.events(asked(), timeout_s=0.2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidReply), (401, AuthFailed), (403, AuthFailed), (404, InvalidReply), (302, InvalidReply)],
)
def test_a_refusal_is_final(
    exchange: HttpExchange, server: ScriptedServer, status: int, kind: type[JobError]
) -> None:
    """It is not asked again, no redirect is followed, and nothing of it is quoted."""
    server.script(answer(status, TOKEN.encode(), Location="http://127.0.0.1:1/"))

    with pytest.raises(kind, match=f"answered {status}") as caught:
        fetched(exchange, server, token=TOKEN)
    assert not caught.value.retryable
    assert TOKEN not in str(caught.value)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "it"),
        (b"<html>", "it"),
        (b"[]", "it"),
        (b"{}", "events"),
        (b'{"events": {}}', "events"),
        (b'\xff{"events": []}', "it"),
        (page(next_cursor="x" * 2_001), "next_cursor"),
        (page(*[EVENT] * (MAX_PAGE_EVENTS + 1)), "events"),
        (b'{"events": ' + b"[" * 100_000, "it"),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else "",
)
def test_a_reply_that_is_not_as_agreed_is_refused(
    exchange: HttpExchange, server: ScriptedServer, body: bytes, place: str
) -> None:
    """What is no page, with the place of the first fault and none of its words; it is not asked for again."""
    server.script(answer(200, body))

    with pytest.raises(InvalidReply, match=f"cannot be used: {place}: [a-z_]+; see") as caught:
        fetched(exchange, server)
    assert not caught.value.retryable
    assert "xxxx" not in str(caught.value)
    assert len(server.received) == 1


ODD: dict[str, tuple[object, str]] = {
    "no object": (1, "event 2 of its page: it: model_type"),
    "rating 6": ({**EVENT, "rating": 6}, "event e1: rating: less_than_equal"),
    "rating as text": ({**EVENT, "rating": "5"}, "event e1: rating: float_type"),
    "no number": ({**EVENT, "rating": float("nan")}, "event e1: rating: finite_number"),
    "says nothing": ({"event_id": "a", "occurred_at": AT}, "event a: it: value_error"),
    "long id": ({**EVENT, "event_id": "x" * 201}, "event 2 of its page: event_id: string_too_long"),
    "odd id": ({**EVENT, "event_id": "a\x00"}, "event 2 of its page: event_id: string_pattern_mismatch"),
    "half a pair": ({**EVENT, "event_id": "\ud800"}, "event 2 of its page: it: json_invalid"),
    "no id": ({"rating": 5, "occurred_at": AT}, "event 2 of its page: event_id: string_type"),
    "long comment": ({**EVENT, "comment": "x" * 4_001}, "event e1: comment: string_too_long"),
    "no zone": ({**EVENT, "occurred_at": "2026-03-01T12:00:00"}, "event e1: occurred_at: timezone_aware"),
    "seconds": ({**EVENT, "occurred_at": 1_793_527_200}, "event e1: occurred_at: datetime_type"),
    "year 1": ({**EVENT, "occurred_at": "0001-01-01T00:00:00Z"}, "event e1: occurred_at: value_error"),
}


@pytest.mark.parametrize(("odd", "reason"), ODD.values(), ids=ODD.keys())
def test_an_odd_event_is_set_aside_and_the_rest_of_its_page_is_read(
    exchange: HttpExchange, server: ScriptedServer, odd: dict[str, object], reason: str
) -> None:
    """With the reason and none of its words; the next page is where it was said to be."""
    first, last = {**EVENT, "event_id": "first"}, {**EVENT, "event_id": "last"}
    server.script(answer(200, page(first, odd, last, next_cursor="more")))
    found = fetched(exchange, server)

    assert [event.event_id for event in found.events] == ["first", "last"]
    assert (found.set_aside, found.next_cursor) == ((reason,), "more")


@given(
    odd=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=3
    )
)
@pytest.mark.parametrize("name", ["event_id", "rating", "sentiment", "comment", "occurred_at", None])
def test_no_value_anywhere_in_an_event_spoils_its_page(name: str | None, odd: object) -> None:
    """Neighbours are read, and the event is either taken or set aside."""
    event = odd if name is None else {**EVENT, name: odd}
    found = read_page(page(EVENT, event, EVENT, next_cursor="more"), "host")  # type: ignore[arg-type]

    assert len(found.events) + len(found.set_aside) == 3
    assert len(found.events) >= 2
    assert found.next_cursor == "more"


def test_numbers_are_taken_for_ids_and_cursors(exchange: HttpExchange, server: ScriptedServer) -> None:
    """Many services have nothing else; an empty cursor is the end."""
    server.script(answer(200, page({**EVENT, "event_id": 12345}, next_cursor=7)))
    found = fetched(exchange, server)
    assert (found.events[0].event_id, found.next_cursor) == ("12345", "7")

    server.script(answer(200, page(next_cursor="")))
    assert fetched(exchange, server).next_cursor is None


def test_a_number_of_thousands_of_digits_spoils_its_own_event(
    exchange: HttpExchange, server: ScriptedServer
) -> None:
    """And a byte that is no UTF-8 spoils a letter."""
    odd = page({**EVENT, "comment": "?"}, {**EVENT, "rating": 7}, EVENT)
    server.script(answer(200, odd.replace(b"?", b"\xff").replace(b"7", b"7" * 5_000)))
    found = fetched(exchange, server)

    assert [event.comment for event in found.events] == ["\ufffd", None]
    assert len(found.set_aside) == 1


def test_a_full_page_fits(exchange: HttpExchange, server: ScriptedServer) -> None:
    """The bound is the last number allowed."""
    server.script(answer(200, page(*[EVENT] * MAX_PAGE_EVENTS)))

    assert len(fetched(exchange, server).events) == MAX_PAGE_EVENTS


def test_a_reply_without_an_end_is_cut_off(server: ScriptedServer) -> None:
    """It costs no more memory than a reply may have bytes."""
    server.script(answer(200, page({**EVENT, "comment": "x" * 4_000})))

    with httpx.Client(trust_env=False) as client, pytest.raises(InvalidReply, match="more than 1000 bytes"):
        fetched(HttpExchange(client, now=lambda: datetime.now(UTC), max_reply_bytes=1_000), server)


def test_a_remote_service_may_say_more_than_we_know(exchange: HttpExchange, server: ScriptedServer) -> None:
    """New fields break nothing."""
    server.script(answer(200, page({**EVENT, "language": "en"}, total=1)))

    assert fetched(exchange, server).events[0].event_id == "e1"


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://host",
        "host",
        "",
        "https://",
        "https://me:secret@host",
        "https://host?a=secret",
        "http://[::secret",
    ],
)
def test_an_address_that_cannot_work_is_refused_at_once(exchange: HttpExchange, base_url: str) -> None:
    """Before any job runs, and without being quoted."""
    with pytest.raises(ValueError, match="base_url") as caught:
        HttpFeedbackSource(exchange, base_url=base_url, token=None)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "s3cret\n", "s3crét"])
def test_a_token_that_no_header_can_carry_is_refused_at_once(exchange: HttpExchange, token: str) -> None:
    """Without being quoted."""
    with pytest.raises(ValueError, match="token is empty or") as caught:
        HttpFeedbackSource(exchange, base_url="https://host", token=SecretStr(token))
    assert "s3cr" not in str(caught.value)


def test_the_token_shows_up_nowhere(
    exchange: HttpExchange, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """In no log at any level, and in no repr."""
    server.script(answer(401))
    source = HttpFeedbackSource(exchange, base_url=server.url, token=SecretStr(TOKEN))

    with caplog.at_level(logging.DEBUG), pytest.raises(AuthFailed) as caught:
        source.events(asked(), timeout_s=5)
    assert TOKEN not in caplog.text + repr(source) + repr(vars(source)["_url"]) + str(caught.value)
