"""Finds a message: whose it is, and its position in a lane, as they are stored."""

from typing import Final

import redis

from ..connection import ask
from ..keys import part
from .views import read_org

#: Stands for all orgs in the arguments of scripts; no org is stored under this name.
ANY_ORG: Final = "|"
#: So much of a lane comes with one call.
BATCH_SIZE: Final = 1_000


def stored_org(org: str | None) -> str:
    """An org as the scripts take it; None for all."""
    return ANY_ORG if org is None else part(org)


def lane_key(base: str, queue: str, org: str, lane: str) -> str:
    """The list that a lane is; org and lane as they are stored."""
    return f"{base}:l:{queue}:{org}:{lane}"


def org_of(record: bytes) -> str | None:
    """Whose a message is, as people name the org."""
    return read_org(record.split(b"\n", 2)[1].decode())


def entry_of(client: "redis.Redis", base: str, message_id: str, record: bytes) -> str | None:
    """A message as its lane has it, "<since ms>|<mid>", however long the lane is; None when it is not there.

    Raises:
        ConnectionClosed: the server does not answer.
    """
    queue, org, lane, *_ = record.split(b"\n", 4)
    key, ending = lane_key(base, queue.decode(), org.decode(), lane.decode()), f"|{message_id}".encode()
    start = 0
    while entries := batch(client, key, start, BATCH_SIZE):
        for entry in entries:
            if entry.endswith(ending):
                return entry.decode()
        # Those at the head may go meanwhile: so some are read twice, and none is missed.
        start += BATCH_SIZE // 2
    return None


def batch(client: "redis.Redis", key: str, start: int, count: int) -> list[bytes]:
    """Entries of a lane from a place on.

    Raises:
        ConnectionClosed: the server does not answer.
    """
    return list(ask(client, "LRANGE", key, start, start + count - 1))
