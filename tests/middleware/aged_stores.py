"""Time that passes at once, for stores whose clock is a server's: everything they hold gets older instead."""

from typing import Any

import redis

#: Scores above are moments in microseconds, below in milliseconds.
_MICROSECONDS_FROM = 1e14


def age(client: redis.Redis, prefix: str, by_ms: float) -> None:
    """Make all keys of the prefix `by_ms` older: what they expire at, and every moment written in them."""
    server: Any = client
    for key in list(server.scan_iter(match=f"{prefix}:*")):
        kind = server.type(key)
        if kind == b"zset":
            for member, score in server.zrange(key, 0, -1, withscores=True):
                by = by_ms * 1_000 if score > _MICROSECONDS_FROM else by_ms
                server.zadd(key, {member: score - by})
        elif kind == b"string":
            server.set(key, f"{float(server.get(key)) - by_ms:.3f}", keepttl=True)
        elif server.hexists(key, "asked"):
            server.hincrbyfloat(key, "asked", -by_ms)
        left_ms = server.pttl(key)
        assert left_ms != -1, f"{key!r} would stay for ever"
        server.pexpire(key, max(0, int(left_ms - by_ms)))
