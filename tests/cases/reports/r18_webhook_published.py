"""A webhook that has taken the post with 200 has published it, whatever its reply's body is.

Servers that compress whatever was asked for, put `Content-Encoding: utf-8` on plain text, or answer with a large page:
if that were a failure, somebody would publish again by hand.

Right: with a 2xx the post is published; a body that cannot be read, or is too large, means no id and no url.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import gzip
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr

from adapters.credentials import WebhookCredentials
from adapters.net.http import HttpExchange
from adapters.publishing.webhook import WebhookPublisher
from domain.publishing import Post
from tests.cases.http_servers import Reply, Request, http_server
from tests.cases.kit import in_short, outcome, verdict
from tests.cases.wordpress_front import Journal

MOST_REPLY_BYTES = 1024 * 1024

REPLIES = {
    "plain": Reply(body=b'{"id": 5}'),
    "gzip": Reply(body=gzip.compress(b'{"id": 5}'), headers={"Content-Encoding": "gzip"}),
    "Content-Encoding: utf-8": Reply(body=b'{"id": 5}', headers={"Content-Encoding": "utf-8"}),
    "2 MB of HTML": Reply(body=b"x" * 2_000_000, headers={"Content-Type": "text/html"}),
}


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for name, reply in REPLIES.items():
        keys: list[str] = []
        published = outcome(lambda reply=reply, keys=keys: _publish(reply, keys))  # type: ignore[misc]
        print(f"{name:24} {len(keys)} requests, {in_short(published)}")
        if isinstance(published, Exception):
            faults.append(name)
    return faults


def _publish(reply: Reply, keys: list[str]) -> object:
    def answer(request: Request) -> Reply:
        keys.append(request.headers["Idempotency-Key"])
        return reply

    with http_server(answer) as address, httpx.Client() as client:
        publisher = WebhookPublisher(
            exchange=HttpExchange(
                client,
                now=lambda: datetime.now(UTC),
                first_wait_s=0.05,
                max_reply_bytes=MOST_REPLY_BYTES,
            ),
            address=f"{address}/hook",
            credentials=WebhookCredentials(secret=SecretStr("s" * 32)),
            clock=lambda: datetime.now(UTC),
        )
        return publisher.publish(Post(key="my-post-0123abcd", title="T", body="B"), Journal())


if __name__ == "__main__":
    verdict(main)
