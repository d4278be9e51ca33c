"""Under Dramatiq's own command: signals that repeat a stop are that stop, and an end at once leaves nothing running."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

#: Signals within so many seconds are one request: who signals a whole group reaches each worker process twice,
#: and its parent hands the signal on besides.
SAME_REQUEST_S = 2.0
#: What is left of a process may take so long to end that was told to end at once, in seconds.
AT_ONCE_S = 1.0

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))

Handler = Callable[[int, FrameType | None], object]


def catch_repeated_signals(begin: Callable[[], None]) -> None:
    """Call `begin` when a worker of Dramatiq's command is signalled to stop, and pass over signals that repeat it.

    A signal that comes more than 2 seconds later ends the process at once, as without this; so does it where an event
    loop of `AsyncIO` would keep it. In other processes, and where somebody else handles the signals, this does nothing.

    Parameters:
        begin: starts the stop. It runs in a signal handler: it must not block.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        theirs = signal.getsignal(number)
        if callable(theirs) and is_of_dramatiqs_command(theirs):
            signal.signal(number, _StopHandler(theirs, begin))


def is_of_dramatiqs_command(handler: Handler) -> bool:
    """Return whether it is the handler that Dramatiq's command line defines in the main function of its workers."""
    cli = sys.modules.get("dramatiq.cli")
    return cli is not None and getattr(handler, "__code__", cli) in cli.worker_process.__code__.co_consts


class _StopHandler:
    """What Dramatiq's handler does, once for each request."""

    #: Of this process, whichever signal came first.
    _first_s: float | None = None

    def __init__(self, theirs: Handler, begin: Callable[[], None]) -> None:
        self._theirs = theirs
        self._begin = begin

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if _StopHandler._first_s is None:
            _StopHandler._first_s = now_s
            self._begin()
            self._theirs(number, frame)
        elif now_s - _StopHandler._first_s > SAME_REQUEST_S:
            threading.Thread(target=_end, name="pressroom-ending", daemon=True).start()
            self._theirs(number, frame)


def _end() -> None:
    # Threads that are no daemons, as that of an event loop, would be waited for.
    time.sleep(AT_ONCE_S)
    cli = sys.modules.get("dramatiq.cli")
    os._exit(getattr(cli, "RET_KILLED", 1))
