"""Ends a worker process whose supervisor is gone."""

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1
_EVERY_S = 1.0


def end_with(parent_pid: int, *, within_s: float) -> None:
    """Have this process get SIGTERM when its parent is gone, and end it when it has not ended `within_s` later.

    On Linux the kernel sends the signal at that moment; elsewhere a check each second does.

    Parameters:
        parent_pid: who started this process, as that one knew itself: it may be gone already.
        within_s: seconds it may take to drain; nobody else is left who would kill it.
    """
    if sys.platform == "linux":
        # Refused by some sandboxes; then the check each second is what there is.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(
        target=_watch, args=(parent_pid, within_s), name="pressroom-parent-watch", daemon=True
    ).start()


def _watch(parent_pid: int, within_s: float) -> None:
    nobody = threading.Event()
    while os.getppid() == parent_pid:
        nobody.wait(_EVERY_S)
    # A second one within moments is the same request to whoever handles it.
    os.kill(os.getpid(), signal.SIGTERM)
    nobody.wait(within_s)
    os._exit(1)
