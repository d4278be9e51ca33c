"""The platform's HTTP endpoint: download links and a health check."""

import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.exports.formats import FILE_KINDS
from adapters.net.links import LinkExpired, LinkRefused, SignedLinks
from adapters.storage.object_store import ObjectStore
from app.bootstrap.jobs.domain_export import object_store
from app.output import out
from app.settings import Settings
from domain.errors import NotFound, RetryableError
from domain.ports import Clock

_MEDIA_TYPES = {kind.extension: kind.media_type for kind in FILE_KINDS.values()}


def serve(settings: Settings, *, fd: int | None) -> None:
    """Serve until SIGINT or SIGTERM.

    Parameters:
        settings: address, keys and object store.
        fd: a listening socket that this process inherited; None to make one.
    """
    app = web_app(
        SignedLinks(settings.public_url or "", settings.secret_keys),
        object_store(settings),
        lambda: datetime.now(UTC),
    )
    listening = (
        socket.socket(fileno=fd)
        if fd is not None
        else socket.create_server((settings.http_host, settings.http_port))
    )
    host, port = listening.getsockname()[:2]
    out.print(f"Serving on http://{host}:{port}")
    # The server stops on a signal and then raises it again; having stopped is all there is to do.
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, lambda *_: None)
    # Links are secrets as long as they work: the access log would write them down.
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


def web_app(links: SignedLinks, store: ObjectStore, clock: Clock) -> Starlette:
    """The application.

    Parameters:
        links: verifies what a link says.
        store: where the objects are.
        clock: the time now.
    """
    routes = [
        Route("/healthz", _healthz),
        Route("/exports/{org_id}/{name}", _download(links, store, clock), methods=["GET"]),
    ]
    return Starlette(routes=routes)


def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _download(links: SignedLinks, store: ObjectStore, clock: Clock) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        query = request.query_params
        try:
            key = links.verify(
                request.url.path.lstrip("/"), query.get("expires", ""), query.get("signature", ""), clock()
            )
            size_bytes, pieces = store.size_bytes(key), store.get(key)
        except LinkExpired as error:
            return PlainTextResponse(f"{error}\n", 410)
        except LinkRefused as error:
            return PlainTextResponse(f"{error}\n", 403)
        except NotFound:
            return PlainTextResponse("this export is no longer kept; export again\n", 404)
        except RetryableError:
            return PlainTextResponse("the object store does not answer; try again in a moment\n", 503)
        name = key.rpartition("/")[2]
        headers = {
            "Content-Length": str(size_bytes),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(pieces, headers=headers, media_type=_MEDIA_TYPES[name.rpartition(".")[2]])

    return handle
