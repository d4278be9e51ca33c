"""The retry policy against a real server."""

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from adapters.net.http import (
    MAX_RETRY_AFTER_S,
    RETRIES,
    HttpExchange,
    raise_for_refusal,
    retry_after_s,
)
from adapters.net.replies import HttpReply
from domain.errors import AuthFailed, InvalidInput, InvalidReply, ProviderUnavailable
from tests.adapters.ai.scripted_server import (
    Reply,
    ScriptedServer,
    answer,
    hang_up,
    hold,
    refused_url,
    scripted_server,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "sk-never-to-be-seen"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as fresh:
        yield fresh


@pytest.fixture
def exchange(client: httpx.Client) -> HttpExchange:
    return HttpExchange(client, now=lambda: NOW)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1 + RETRIES, cap=True):
        yield


@pytest.fixture
def waits_s() -> Iterator[list[float]]:
    seen: list[float] = []

    def see(details: RetryDetails) -> None:
        seen.append(details.wait_for)

    before = get_on_retry_hooks()
    set_on_retry_hooks([see])
    yield seen
    set_on_retry_hooks(before)


def ask(exchange: HttpExchange, url: str, timeout_s: float | None = 60, repeatable: bool = True) -> HttpReply:
    request = httpx.Request("POST", url, headers={"Authorization": f"Bearer {SECRET}"}, content=b"question")
    return exchange.send(request, timeout_s=timeout_s, repeatable=repeatable)


def test_a_reply_comes_back_whole(server: ScriptedServer, exchange: HttpExchange) -> None:
    """Status, headers and body arrive as they were sent, after a single request with its body."""
    server.script(answer(201, b"made", X_Id="7"))
    reply = ask(exchange, server.url)
    assert (reply.status, reply.headers["X-Id"], reply.body) == (201, "7", b"made")
    assert [request.body for request in server.received] == [b"question"]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_refusal_is_tried_again(
    server: ScriptedServer, exchange: HttpExchange, status: int
) -> None:
    """408, 429 and 5xx are asked again with the same body, and the first good reply counts."""
    server.script(answer(status), answer(status), answer(200, b"good"))
    assert ask(exchange, server.url).body == b"good"
    assert [request.body for request in server.received] == [b"question"] * 3


@pytest.mark.usefixtures("no_waiting")
def test_three_retries_and_no_more(server: ScriptedServer, exchange: HttpExchange) -> None:
    """A remote service that stays down is asked four times in all."""
    server.script(answer(500))
    with pytest.raises(ProviderUnavailable, match="500") as caught:
        ask(exchange, server.url)
    assert len(server.received) == 4
    assert caught.value.retry_after_s is None


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("broken", [hang_up(), hang_up(b"half a rep")], ids=["before", "mid-body"])
def test_a_lost_connection_is_tried_again(
    server: ScriptedServer, exchange: HttpExchange, broken: Reply
) -> None:
    """A connection closed before or during the reply is a reason to ask again."""
    server.script(broken, answer(200, b"good"))
    assert ask(exchange, server.url).body == b"good"
    assert len(server.received) == 2


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("slow", [hold(), hold(b"half a rep")], ids=["silence", "mid-body"])
def test_a_time_out_is_tried_again(server: ScriptedServer, client: httpx.Client, slow: Reply) -> None:
    """An attempt that takes too long is given up and made again."""
    server.script(slow, answer(200, b"good"))
    impatient = HttpExchange(client, now=lambda: NOW, attempt_timeout_s=0.2)
    assert ask(impatient, server.url).body == b"good"
    assert len(server.received) == 2


@pytest.mark.usefixtures("no_waiting")
def test_a_refused_connection_is_an_outage(exchange: HttpExchange) -> None:
    """Where nothing listens, the error says so and says what to check."""
    with refused_url() as url, pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1.*refused.*check"):
        ask(exchange, url)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 409, 410, 413, 422])
def test_no_other_status_is_tried_again(server: ScriptedServer, exchange: HttpExchange, status: int) -> None:
    """Redirects and other 4xx come back as they are, after one request, and lead nowhere."""
    server.script(answer(status, Location=f"{server.url}/elsewhere"))
    assert ask(exchange, server.url).status == status
    assert len(server.received) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("broken", [answer(500), hang_up(), answer(429, Retry_After="0")])
def test_what_may_not_be_repeated_is_sent_once(
    server: ScriptedServer, exchange: HttpExchange, broken: Reply
) -> None:
    """A request that is not repeatable is sent once, whatever becomes of it."""
    server.script(broken)
    with pytest.raises(ProviderUnavailable):
        ask(exchange, server.url, repeatable=False)
    assert len(server.received) == 1


def test_a_short_retry_after_is_waited_for(
    server: ScriptedServer, client: httpx.Client, waits_s: list[float]
) -> None:
    """A remote service that names a short time is asked again after exactly that time."""
    soon = answer(429, Retry_After=format_datetime(NOW, usegmt=True))
    exchange_just_before = HttpExchange(client, now=lambda: NOW - timedelta(milliseconds=20))
    server.script(soon, answer(503, Retry_After="0"), answer(200))
    assert ask(exchange_just_before, server.url).status == 200
    assert waits_s == pytest.approx([0.02, 0.0])


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("value", "requests"), [("5", 4), ("6", 1), ("3600", 1)])
def test_a_long_retry_after_is_reported_instead(
    server: ScriptedServer, exchange: HttpExchange, value: str, requests: int
) -> None:
    """A wait over 5 s is not begun; the error carries it, so that the job can be put off."""
    server.script(answer(429, Retry_After=value))
    with pytest.raises(ProviderUnavailable) as caught:
        ask(exchange, server.url)
    assert caught.value.retry_after_s == float(value)
    assert len(server.received) == requests


@pytest.mark.parametrize(
    "refusal", [answer(503), answer(503, Retry_After="4")], ids=["back-off", "retry-after"]
)
def test_no_wait_begins_that_outlasts_the_deadline(
    server: ScriptedServer, exchange: HttpExchange, waits_s: list[float], refusal: Reply
) -> None:
    """With less time left than the next wait takes, the failure is told at once."""
    server.script(refusal)
    with pytest.raises(ProviderUnavailable):
        ask(exchange, server.url, timeout_s=1.5)
    assert (len(server.received), waits_s) == (1, [])


def test_without_time_nothing_is_sent(server: ScriptedServer, exchange: HttpExchange) -> None:
    """A deadline that has passed costs no request."""
    server.script(answer(200))
    with pytest.raises(ProviderUnavailable, match="no time is left"):
        ask(exchange, server.url, timeout_s=0)
    assert server.received == []


@pytest.mark.parametrize(("size_bytes", "fits"), [(1_000, True), (1_001, False)])
def test_a_body_is_bounded(server: ScriptedServer, client: httpx.Client, size_bytes: int, fits: bool) -> None:
    """One byte over the limit refuses the reply, once; the limit itself is fine."""
    server.script(answer(200, b"x" * size_bytes))
    exchange = HttpExchange(client, now=lambda: NOW, max_reply_bytes=1_000)
    if fits:
        assert len(ask(exchange, server.url).body) == size_bytes
    else:
        with pytest.raises(InvalidReply, match="more than 1000 bytes"):
            ask(exchange, server.url)
    assert len(server.received) == 1


def test_a_compressed_body_is_refused(server: ScriptedServer, exchange: HttpExchange) -> None:
    """Plain bytes are asked for, and nothing is ever inflated."""
    server.script(answer(200, b"\x1f\x8b", Content_Encoding="gzip"))
    with pytest.raises(InvalidReply, match="compressed"):
        ask(exchange, server.url)
    assert server.received[0].headers["Accept-Encoding"] == "identity"


def test_a_header_that_cannot_be_sent_is_not_quoted(server: ScriptedServer, exchange: HttpExchange) -> None:
    """A header no connection can carry is our own mistake, told without its value, also in the traceback."""
    request = httpx.Request("GET", server.url, headers={"Authorization": f"{SECRET}\n"})
    with pytest.raises(InvalidInput, match="header values") as caught:
        exchange.send(request, timeout_s=5, repeatable=True)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_address_that_cannot_be_reached_is_not_quoted(exchange: HttpExchange) -> None:
    """An unknown scheme is our own mistake, told without the credentials in the address."""
    request = httpx.Request("GET", f"gopher://user:{SECRET}@127.0.0.1")
    with pytest.raises(InvalidInput, match="address") as caught:
        exchange.send(request, timeout_s=5, repeatable=True)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("retries", [0, 1])
def test_a_caller_may_choose_how_often_and_after_how_long(
    server: ScriptedServer, client: httpx.Client, waits_s: list[float], retries: int
) -> None:
    """So many retries and no more; the first wait is at most doubled by chance."""
    server.script(answer(500))
    chosen = HttpExchange(client, now=lambda: NOW, retries=retries, first_wait_s=0.02)
    with pytest.raises(ProviderUnavailable):
        ask(chosen, server.url)
    assert len(server.received) == 1 + retries
    assert [0.02 <= wait_s <= 0.04 for wait_s in waits_s] == [True] * retries


@pytest.mark.usefixtures("no_waiting")
def test_a_step_of_several_requests_is_repeated_as_a_whole(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """It begins anew where a request would be sent again; within it nothing is repeated."""
    server.script(answer(200, b"1"), answer(500), answer(200, b"2"), answer(200, b"3"))

    def step() -> list[bytes]:
        return [ask(exchange, server.url, repeatable=False).body for _ in range(2)]

    assert exchange.repeat(step, timeout_s=60) == [b"2", b"3"]
    assert len(server.received) == 4


@pytest.mark.parametrize("location", ["http://[nonsense", "mailto:somebody", "//", "http://a b/"])
def test_a_redirect_to_nonsense_is_the_far_sides_fault(
    server: ScriptedServer, exchange: HttpExchange, location: str
) -> None:
    """It comes back as it is, or as a reply that cannot be used; our request was right."""
    server.script(answer(302, Location=location))
    try:
        assert ask(exchange, server.url).status == 302
    except InvalidReply as error:
        assert "redirects" in str(error)  # noqa: PT017  # either will do
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("location", "reported"),
    [
        (f"https://new.example:8443/{SECRET}?{SECRET}", "a redirect to https://new.example:8443; configure"),
        (f"https://{SECRET}@new.example", "a redirect to https://new.example; configure"),
        (f"/{SECRET}/", "a redirect to another path of the same host; configure"),
        (f"http://[{SECRET}", "a redirect; configure"),
        (f"https://new example{SECRET}", "a redirect; configure"),
    ],
)
def test_a_redirect_says_where_to(location: str, reported: str) -> None:
    """The host alone: what follows it may be a secret."""
    reply = HttpReply(status=308, headers=httpx.Headers({"Location": location}), body=b"")
    with pytest.raises(InvalidReply, match=reported) as caught:
        raise_for_refusal(reply, "example.com")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success_is_no_refusal(status: int) -> None:
    """Every 2xx passes."""
    raise_for_refusal(HttpReply(status=status, headers=httpx.Headers(), body=b""), "example.com")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, InvalidReply),
        (400, InvalidReply),
        (401, AuthFailed),
        (403, AuthFailed),
        (404, InvalidReply),
        (422, InvalidReply),
    ],
)
def test_a_refusal_becomes_a_permanent_error(status: int, error: type[Exception]) -> None:
    """401 and 403 blame the credentials, the rest the request; the body is not quoted."""
    reply = HttpReply(status=status, headers=httpx.Headers(), body=SECRET.encode())
    with pytest.raises(error, match=f"example.com answered {status}") as caught:
        raise_for_refusal(reply, "example.com")
    assert SECRET not in str(caught.value)


@given(st.integers(min_value=0, max_value=int(MAX_RETRY_AFTER_S)))
def test_both_forms_of_retry_after_mean_the_same(seconds: int) -> None:
    """So many seconds and a date so many seconds away are the same wait."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s(str(seconds), NOW) == retry_after_s(date, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("9" * 5_000, None),
        ("99999999999", MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:00:07 -0000", 7.0),
    ],
)
def test_a_strange_retry_after_does_no_harm(value: str | None, wait_s: float | None) -> None:
    """What makes no sense is ignored, what lies in the past is now, and a day is the most."""
    assert retry_after_s(value, NOW) == wait_s


@given(st.text())
def test_no_retry_after_breaks_anything(value: str) -> None:
    """Whatever a remote service sends is a wait within bounds or none."""
    wait_s = retry_after_s(value, NOW)
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    "settings", [{"attempt_timeout_s": 0.0}, {"max_reply_bytes": 0}, {"retries": -1}, {"first_wait_s": -0.1}]
)
def test_impossible_settings_are_refused(client: httpx.Client, settings: dict[str, int]) -> None:
    """A bound that nothing can meet is refused when it is set."""
    with pytest.raises(ValueError, match="must be"):
        HttpExchange(client, now=lambda: NOW, **settings)  # type: ignore[arg-type]  # parametrize knows no types
