"""Calls to the server and what goes wrong with them: a connection that leads to the wrong server is not kept.

After a fail-over behind one address, an open connection may go on leading to the server that was the primary. It
answers, but refuses what it is asked. All that says so is taken for a lost connection: idle ones are closed, so that
the next call makes a new one, which leads to where the address leads by then.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import WeakSet

import redis
from dramatiq.errors import BrokerError, ConnectionClosed

from .errors import BrokerScriptError, ServerFull, UnsupportedServer

#: A server that answers one of these has done nothing, and is not, or not yet, the one to ask.
NOT_SERVING: Final = (
    *("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN", "BUSY", "UNBLOCKED"),
)

#: The answer of a command, or of one inside a script as older servers word it.
_NOT_SERVING = re.compile(rf"(?:^|@user_script: ?\d+: -?)(?:{'|'.join(NOT_SERVING)}) ")
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
)

#: What stands in the error of a script that ran a command which its user may not.
_DENIED_IN_SCRIPT = "ACL failure in script"

CLUSTER_MODE: Final = (
    "the server is in cluster mode, which is not supported: use a server without cluster-enabled, or Sentinel "
    "(redis+sentinel://)"
)

#: What is asked for a server's mode, one after the other where that is forbidden, and how it is found in the answer.
_MODES: Final = {"INFO server": r"(?:redis|server)_mode:(\w+)", "HELLO": r"b'mode'[:,] b'(\w+)'"}

#: Pools that may lead to a server in cluster mode.
_unchecked: "WeakSet[redis.ConnectionPool]" = WeakSet()


def ask(client: "redis.Redis", *command: str | bytes | int | float) -> Any:
    """Carry out one command. Returns what the server answers, as bytes.

    Raises:
        ConnectionClosed: it does not answer, or leads elsewhere; the connection is not used again.
        UnsupportedServer: it is in cluster mode, or the user may not do that.
        BrokerScriptError: it refuses for another reason.
    """
    run: Callable[..., Any] = client.execute_command
    try:
        check_mode(client)
        return run(*command)
    except redis.RedisError as error:
        raise fault_of(client, str(command[0]), error) from error


def fault_of(client: "redis.Redis", what: str, error: redis.RedisError) -> BrokerError:
    """What the broker raises for an error of redis-py; a connection that is lost, or leads elsewhere, is not kept.

    Parameters:
        client: whose call failed.
        what: it called, for people.
        error: what that raised.
    """
    if is_away(error):
        drop_connections(client)
        return away(error)
    if isinstance(error, redis.exceptions.AskError):  # a redirection, to another node
        return UnsupportedServer(CLUSTER_MODE)  # type: ignore[no-untyped-call]
    if isinstance(error, redis.exceptions.NoPermissionError) or _DENIED_IN_SCRIPT in str(error):
        return UnsupportedServer(
            f"the server refused {what}: {error}. Grant its user what docs/operations.md lists (ACL SETUSER)"
        )  # type: ignore[no-untyped-call]
    kind = ServerFull if isinstance(error, redis.exceptions.OutOfMemoryError) else BrokerScriptError
    return kind(f"the server refused {what}: {error}")  # type: ignore[no-untyped-call]


@contextmanager
def connection_errors(client: "redis.Redis") -> Iterator[None]:
    """Map the connection errors of a block to Dramatiq's; other errors of redis-py pass.

    Raises:
        ConnectionClosed: the server does not answer, or leads elsewhere.
    """
    try:
        yield
    except redis.RedisError as error:
        if is_away(error):
            drop_connections(client)
            raise away(error) from error
        raise


def is_away(error: Exception) -> bool:
    """Check that an error of redis-py says that the connection is lost, or of no use any more."""
    if isinstance(error, _AWAY):
        return True
    return isinstance(error, redis.ResponseError) and _NOT_SERVING.search(str(error)) is not None


def drop_connections(client: "redis.Redis") -> None:
    """Close a client's idle connections; those in use find out by themselves."""
    with suppress(redis.RedisError, OSError):
        if client.connection is not None:  # the only one of a client that has one
            client.connection.disconnect()  # type: ignore[no-untyped-call]
        client.connection_pool.disconnect(inuse_connections=False)


def away(error: Exception) -> ConnectionClosed:
    """Dramatiq's word for a server that does not answer."""
    return ConnectionClosed(error)  # type: ignore[no-untyped-call]


def check_mode(client: "redis.Redis") -> None:
    """Check that a client's server is not in cluster mode, unless that was done; one that does not say passes.

    Raises:
        UnsupportedServer: it is.
        redis.RedisError: it does not answer.
    """
    if client.connection_pool in _unchecked:
        if _mode(client) == "cluster":
            raise UnsupportedServer(CLUSTER_MODE)  # type: ignore[no-untyped-call]
        _unchecked.discard(client.connection_pool)


def check_mode_at_first_use(client: "redis.Redis") -> None:
    """Have the first call of a client check its server's mode."""
    _unchecked.add(client.connection_pool)


def is_unchecked(client: "redis.Redis") -> bool:
    """Check that a client's first call, which checks its server's mode, is still to come."""
    return client.connection_pool in _unchecked


def server_time_ms(client: "redis.Redis") -> int:
    """The server's time in epoch milliseconds.

    Raises:
        ConnectionClosed: it does not answer.
    """
    seconds, microseconds = ask(client, "TIME")
    return int(seconds) * 1_000 + int(microseconds) // 1_000


def _mode(client: "redis.Redis") -> str | None:
    """`standalone` or `cluster`; None where the user may not ask."""
    pool = client.connection_pool
    # Not by a command of the client's: whoever counts or traces those is not to find one more.
    connection = client.connection or pool.get_connection()
    try:
        for command, pattern in _MODES.items():
            connection.send_command(*command.split())  # type: ignore[no-untyped-call]
            try:
                answer = connection.read_response(disable_decoding=True)
                found = re.search(pattern, str(answer))
                return found[1] if found else None
            except redis.ResponseError as error:  # forbidden, or not known to what stands before the server
                if is_away(error):
                    raise
    finally:
        if connection is not client.connection:
            pool.release(connection)
    return None
