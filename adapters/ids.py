"""Identifiers that sort by the time they were made, so that new rows land together in an index."""

import secrets
import time
from collections.abc import Callable
from uuid import UUID


def uuid7(now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> UUID:
    """A version 7 UUID (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random bits.

    Parameters:
        now_ms: milliseconds since 1970. Default: this machine's clock.

    Example:
        >>> uuid7().version
        7
    """
    value = (now_ms() & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
