"""Drops what waits in the lanes of a queue, or all of a queue, however much that is."""

from typing import Final

import redis

from ..scripts import Script
from .lane_walk import Step, orgs_of, walk_lanes

#: Messages that one call removes which stand in no lane.
_BATCH_SIZE: Final = 38

_CLEAN_LANES = Script("clean_lanes")
_FLUSH = Script("flush")


def clean_lanes(
    client: "redis.Redis",
    base: str,
    queue: str,
    *,
    org: str | None = None,
    actor: str = "",
    before: str = "inf",
    dry_run: bool = False,
) -> int:
    """Drop what stands in a queue's lanes, round by round until one finds nothing.

    Parameters:
        client: of the server.
        base: the shard's base key.
        queue: the queue's name.
        org: only this org's. Default None: all.
        actor: only this one's, as it is stored. Default: any.
        before: only what was due before, in epoch milliseconds; "inf" for all.
        dry_run: only count it. Default False.

    Returns:
        How many messages were dropped, or would be.

    Raises:
        ConnectionClosed: the server does not answer; a part may have been done.
    """

    def call(step: Step) -> tuple[int, int, int, int]:
        arguments = [queue, actor, before, int(dry_run), *step.arguments()]
        dropped, through, place, rank = _CLEAN_LANES(client, base, arguments)
        return dropped, through, place, rank

    found = 0
    while True:
        dropped = sum(walk_lanes(orgs_of(client, base, queue, org, ready_first=False), call))
        found += dropped
        if dry_run or not dropped:
            return found


def flush(client: "redis.Redis", base: str, queue: str) -> None:
    """Drop all of a queue's messages, dead ones included, until nothing is left.

    Raises:
        ConnectionClosed: the server does not answer; a part may have been done.
    """
    while True:
        dropped = clean_lanes(client, base, queue)
        while removed := int(_FLUSH(client, base, [queue, _BATCH_SIZE])):
            dropped += removed
        if not dropped:
            return
