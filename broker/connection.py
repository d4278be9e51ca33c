"""Plain commands to the server, where no script is needed."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from .scripts import away


@contextmanager
def connection_errors() -> Iterator[None]:
    """Map the connection errors of a block to Dramatiq's.

    Raises:
        ConnectionClosed: the server does not answer.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise away(error) from error


def server_time_ms(client: "redis.Redis") -> int:
    """The server's time in epoch milliseconds.

    Raises:
        ConnectionClosed: it does not answer.
    """
    with connection_errors():
        seconds, microseconds = client.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000
