"""Refuses a server that cannot be worked on, or that may drop messages by itself, before a worker fetches its first."""

import logging

import redis

from .connection import check_mode, check_mode_at_first_use, connection_errors
from .errors import UnsafeServer
from .rights import check_rights

#: The only policy under which a full server refuses to take more, instead of dropping what it has.
SAFE_POLICY = "noeviction"

logger = logging.getLogger(__name__)


def check_server(client: "redis.Redis", base: str | None = None) -> None:
    """Check that the server is one that workers can work on, and is set up to drop no messages.

    A server that hides its policy passes with a warning: managed ones may forbid the command.

    Parameters:
        client: of the server.
        base: of the keys that its user must be allowed to use. Default None: that is not checked.

    Raises:
        UnsafeServer: it may evict messages when its memory is full.
        UnsupportedServer: it is in cluster mode, or its user may not do what workers do.
        ConnectionClosed: it does not answer, or is a replica.

    Example:
        >>> check_server(redis.Redis())
    """
    check_mode_at_first_use(client)
    with connection_errors(client):
        check_mode(client)
    policy = memory_policy(client)
    if policy is None:
        logger.warning(
            "The server does not say its maxmemory-policy; anything but %s may drop messages.", SAFE_POLICY
        )
    elif policy != SAFE_POLICY:
        raise UnsafeServer(unsafe(policy))  # type: ignore[no-untyped-call]
    if base is not None:
        check_rights(client, base)


def memory_policy(client: "redis.Redis") -> str | None:
    """What the server drops when its memory is full; None where it does not say.

    Raises:
        ConnectionClosed: it does not answer.
    """
    try:
        with connection_errors(client):
            # Not CONFIG: that is for administrators, where anything is forbidden at all.
            known: dict[str, object] = client.info("memory")
    except redis.ResponseError:
        return None
    policy = known.get("maxmemory_policy")
    return None if policy is None else str(policy)


def unsafe(policy: str) -> str:
    """What is wrong with a policy, and what to do."""
    return (
        f"maxmemory-policy is {policy}: a full server would drop queued jobs. "
        f"CONFIG SET maxmemory-policy {SAFE_POLICY}, and in its configuration file too"
    )
