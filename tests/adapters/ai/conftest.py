"""A server that answers as scripted, and a client of it that does not wait between retries."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
import stamina

from adapters.net.http import RETRIES, HttpExchange

from .scripted_server import ScriptedServer, scripted_server


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
