"""Waiting for what other threads do."""

import threading
import time
from collections.abc import Callable

#: How long a test waits for anything before it fails, in seconds.
PATIENCE_S = 10


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold before patience is at its end."""
    until_s = time.monotonic() + PATIENCE_S
    nobody = threading.Event()
    while not holds() and time.monotonic() < until_s:
        nobody.wait(0.001)
    return holds()
