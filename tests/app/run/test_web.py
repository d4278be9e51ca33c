"""The web endpoint over real HTTP: links work until they expire, and nothing else does."""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from adapters.net.links import SignedLinks
from adapters.storage.object_store import ObjectStore, open_store
from app.run.web import web_app

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = [SecretStr("k" * 32)]


@dataclass
class Web:
    """A running endpoint."""

    links: SignedLinks
    store: ObjectStore
    now: datetime = NOW
    url: str = ""
    key: str = field(default_factory=lambda: f"exports/{uuid4()}/{uuid4()}.csv")

    def link(self) -> str:
        """A fresh link to a fresh object."""
        self.store.put(self.key, io.BytesIO(b"a,b\r\n"), {})
        return SignedLinks(self.url, KEYS).link(self.key, NOW + timedelta(hours=1))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """The application behind a real server on loopback."""
    made = Web(SignedLinks("", KEYS), open_store(tmp_path.as_uri()))
    application = web_app(made.links, made.store, lambda: made.now)
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            made.url = f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"
            ready.set()

    server = Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(30)
    yield made
    server.should_exit = True
    thread.join()


def test_a_link_gives_the_file_as_an_attachment(web: Web) -> None:
    """Bytes, size, type and name are the export's, and no cache keeps it."""
    reply = httpx.get(web.link())

    assert (reply.status_code, reply.content) == (200, b"a,b\r\n")
    assert reply.headers["content-length"] == "5"
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["content-disposition"] == f'attachment; filename="{web.key.rpartition("/")[2]}"'
    assert reply.headers["cache-control"] == "private, no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_an_expired_link_is_gone(web: Web) -> None:
    """It says what to do."""
    link = web.link()
    web.now = NOW + timedelta(hours=2)

    reply = httpx.get(link)

    assert reply.status_code == 410
    assert "export again" in reply.text


@pytest.mark.parametrize(
    "change", [("signature=", "signature=x"), ("expires=1", "expires=2"), (".csv", ".pdf")]
)
def test_a_changed_link_is_refused(web: Web, change: tuple[str, str]) -> None:
    """Neither another file nor a longer life can be had by editing."""
    reply = httpx.get(web.link().replace(*change))

    assert reply.status_code == 403


@pytest.mark.parametrize(
    "path", ["exports/a/b.csv", "exports/../exports/a/b.csv", "exports/%2e%2e/secret.csv"]
)
def test_a_path_without_a_signature_is_refused(web: Web, path: str) -> None:
    """The store is reached by our own links alone."""
    assert httpx.get(f"{web.url}/{path}").status_code in {403, 404}


def test_a_file_that_is_no_longer_kept_is_not_found(web: Web) -> None:
    """A link may outlive its object."""
    link = web.link()
    web.store.delete(web.key)

    assert httpx.get(link).status_code == 404


def test_the_health_check_answers(web: Web) -> None:
    """Without any credentials."""
    assert httpx.get(f"{web.url}/healthz").text == "ok\n"
