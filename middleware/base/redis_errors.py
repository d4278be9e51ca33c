"""Which errors say that a connection leads to the wrong server, so that it is not used again in vain."""

import re
from contextlib import suppress
from typing import Final

import redis

#: A server that answers one of these has done nothing, and is not, or not yet, the one to ask: a replica by now, one
#: that still loads. A new connection may lead to another.
_CODES: Final = (
    *("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN", "BUSY", "UNBLOCKED"),
)
_KINDS: Final = (redis.ReadOnlyError, redis.exceptions.TryAgainError, redis.exceptions.ClusterDownError)
#: As the answer of a command, or of one inside a script as older servers word it.
_NOT_SERVING = re.compile(rf"(?:^|@user_script: ?\d+: -?)(?:{'|'.join(_CODES)}) ")


def leave_wrong_server(client: "redis.Redis", error: redis.RedisError) -> bool:
    """Close a client's idle connections where an answer says that they lead to the wrong server.

    Returns:
      Whether they did: nothing was done, and the call may be repeated.
    """
    if not isinstance(error, redis.ResponseError):
        return False
    if not isinstance(error, _KINDS) and _NOT_SERVING.search(str(error)) is None:
        return False
    with suppress(redis.RedisError, OSError):
        if client.connection is not None:  # the only one of a client that has one
            client.connection.disconnect()  # type: ignore[no-untyped-call]
        client.connection_pool.disconnect(inuse_connections=False)
    return True
