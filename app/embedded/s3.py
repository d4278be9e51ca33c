"""An S3-speaking server of our own, for tests and demonstrations: real requests, nothing to install or pay for."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from pydantic import SecretStr
from werkzeug.serving import make_server

#: Seconds the server gets to answer the request that makes the bucket, the first one it ever sees.
FIRST_REQUEST_TIMEOUT_S = 30.0
#: Seconds between two looks at whether the server should stop.
STOP_POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class EmbeddedS3:
    """Where the server is and what opens it."""

    endpoint_url: str
    bucket: str
    access_key_id: str
    secret_access_key: SecretStr


@contextmanager
def embedded_s3(bucket: str | None = None) -> Iterator[EmbeddedS3]:
    """Run the server on a free port of 127.0.0.1, with one bucket, for the length of the block.

    Objects live in this process's memory: servers started in one process see each other's buckets.

    Parameters:
        bucket: the bucket's name. Default: a fresh one.

    Example:
        >>> with embedded_s3() as s3:
        ...     options = S3Options(endpoint_url=s3.endpoint_url, allow_http=True, ...)
    """
    name = bucket or f"pressroom-{secrets.token_hex(6)}"
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(
        target=server.serve_forever, args=(STOP_POLL_S,), name="embedded-s3", daemon=True
    )
    thread.start()
    try:
        endpoint_url = f"http://127.0.0.1:{server.server_port}"
        httpx.put(f"{endpoint_url}/{name}", timeout=FIRST_REQUEST_TIMEOUT_S).raise_for_status()
        yield EmbeddedS3(
            endpoint_url=endpoint_url,
            bucket=name,
            access_key_id="embedded",
            secret_access_key=SecretStr(secrets.token_urlsafe(16)),
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(MotoRequestHandler):
    """Logs no requests: they would drown what the demo and the tests say."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return
