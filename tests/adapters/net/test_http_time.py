"""What the retry policy does with time that runs out in the middle of an attempt."""

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from adapters.net.http import HttpExchange
from domain.errors import ProviderUnavailable
from tests.adapters.ai.scripted_server import ScriptedServer, answer, hold, scripted_server
from tests.adapters.net.test_http import NOW, ask


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as fresh:
        yield fresh


def test_late_headers_leave_the_body_the_rest_of_the_time(
    server: ScriptedServer, client: httpx.Client
) -> None:
    """A body that stalls is given up when the attempt's time is up, not that long after its headers."""
    clock_s = [0.0]

    def nearly_too_late(handler: BaseHTTPRequestHandler, released: threading.Event) -> None:
        clock_s[0] = 4_999.9
        hold(b"half a rep")(handler, released)

    server.script(nearly_too_late)
    exchange = HttpExchange(client, now=lambda: NOW, attempt_timeout_s=5_000, monotonic=lambda: clock_s[0])
    with pytest.raises(ProviderUnavailable, match="did not answer in time"):
        ask(exchange, server.url, timeout_s=5_000)


def test_a_caller_that_was_frozen_past_its_time_sends_nothing(server: ScriptedServer) -> None:
    """Whoever wakes up with its time used up has no effect any more, however ready the connection is."""
    clock_s = [0.0]

    def freeze(request: httpx.Request) -> None:
        clock_s[0] = 60.0

    server.script(answer(200))
    with httpx.Client(trust_env=False, event_hooks={"request": [freeze]}) as client:
        exchange = HttpExchange(client, now=lambda: NOW, monotonic=lambda: clock_s[0])
        with pytest.raises(ProviderUnavailable, match="did not answer in time"):
            ask(exchange, server.url, timeout_s=29)
    assert server.received == []


def test_a_trickling_body_does_not_outlast_the_deadline(server: ScriptedServer, client: httpx.Client) -> None:
    """Bytes that come in after the time is up do not count, however steadily they come."""
    a_second_a_look = itertools.count(0.0, 1.0)
    server.script(answer(200, b"x" * 4_000_000))
    exchange = HttpExchange(client, now=lambda: NOW, monotonic=lambda: next(a_second_a_look))
    with pytest.raises(ProviderUnavailable, match="did not finish its reply in time"):
        ask(exchange, server.url, timeout_s=29)
