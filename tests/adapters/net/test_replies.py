"""What there was of a reply is not lost with its error: a status may be enough."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from adapters.net.http import HttpExchange
from adapters.net.replies import CutShort, HttpReply, PassingRefusal, UnreadBody
from tests.adapters.ai.scripted_server import ScriptedServer, answer, hang_up, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def exchange() -> Iterator[HttpExchange]:
    with httpx.Client(trust_env=False) as client:
        yield HttpExchange(client, now=lambda: datetime.now(UTC), max_reply_bytes=1_000)


def ask(exchange: HttpExchange, server: ScriptedServer, *, taken: tuple[int, ...] = ()) -> HttpReply:
    """The reply to one attempt."""
    request = httpx.Request("GET", server.url)
    return exchange.send(request, timeout_s=20, repeatable=False, taken=taken)


def test_a_status_that_passes_is_kept_with_its_error(exchange: HttpExchange, server: ScriptedServer) -> None:
    """With the time that was asked for."""
    server.script(answer(503, Retry_After="600"))
    with pytest.raises(PassingRefusal) as caught:
        ask(exchange, server)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 600.0)


def test_a_status_that_is_wanted_is_a_reply(exchange: HttpExchange, server: ScriptedServer) -> None:
    """With its body; others pass as ever."""
    server.script(answer(500, b"why"))
    assert ask(exchange, server, taken=(500,)).body == b"why"
    server.script(answer(502))
    with pytest.raises(PassingRefusal):
        ask(exchange, server, taken=(500,))


@pytest.mark.parametrize("status", [200, 403])
def test_a_body_that_cannot_be_read_leaves_its_status(
    exchange: HttpExchange, server: ScriptedServer, status: int
) -> None:
    """Whether it is compressed or too large."""
    for reply in (answer(status, b"x", Content_Encoding="gzip"), answer(status, b"x" * 1_001)):
        server.script(reply)
        with pytest.raises(UnreadBody) as caught:
            ask(exchange, server)
        assert (caught.value.reply.status, caught.value.reply.body) == (status, b"")
        assert caught.value.reply.is_success is (status == 200)


def test_a_reply_that_ends_too_soon_leaves_its_status(exchange: HttpExchange, server: ScriptedServer) -> None:
    """One that never began leaves none."""
    server.script(hang_up(b"begun"))
    with pytest.raises(CutShort) as caught:
        ask(exchange, server)
    assert caught.value.reply.status == 200

    server.script(hang_up())
    with pytest.raises(Exception, match="connection") as other:
        ask(exchange, server)
    assert not isinstance(other.value, CutShort)
