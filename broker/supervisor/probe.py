"""A probe: a worker process for messages that may have killed others, one by one; it ends when there is none."""

import time
from collections.abc import Callable

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from ..announcements import announce_began, announce_idle

#: A probe that had nothing to run for so long ends, in seconds.
IDLE_S = 2.0

#: Seconds between two checks.
_POLL_S = 0.2


class IsolatedRunTracker(Middleware):
    """Tracks whether this process runs anything.

    Parameters:
        monotonic: seconds that only go forward. Default `time.monotonic`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now_s = monotonic
        self._began = False
        self._running: set[str] = set()
        self._busy_s = 0.0

    def ran_out(self, stop_requested: Callable[[float], bool]) -> bool:
        """Block until nothing has run here for a while, and announce that. Returns False when asked to stop before.

        Parameters:
            stop_requested: blocks for so many seconds, or until a stop is requested.
        """
        self._busy_s = self._now_s()
        while self._running or self._now_s() < self._busy_s + IDLE_S:
            if stop_requested(_POLL_S):
                return False
        announce_idle()
        return True

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self._running.add(message.message_id)
        if not self._began:
            self._began = True
            announce_began()

    def after_process_message(self, broker: Broker, message: MessageProxy, **outcome: object) -> None:
        self._busy_s = self._now_s()
        self._running.discard(message.message_id)

    after_skip_message = after_process_message
