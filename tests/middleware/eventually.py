"""Waiting for what other threads do."""

import threading
import time
from collections.abc import Callable

#: How long a test waits for anything before it fails, in seconds: long enough for one core that others use, too.
PATIENCE_S = 60

#: Between two looks: short at first, and never so often that looking is what keeps others from working.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.02


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold before patience is at its end."""
    until_s = time.monotonic() + PATIENCE_S
    nobody, pause_s = threading.Event(), _FIRST_PAUSE_S
    while not holds() and time.monotonic() < until_s:
        nobody.wait(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
    return holds()
