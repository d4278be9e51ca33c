"""Whose after hooks run on this thread."""

import threading

from .leases import Lease


class Here(threading.local):
    """What the thread does; None outside a message's after hooks."""

    lease: Lease | None = None
