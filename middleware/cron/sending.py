"""Sending ticks from a scheduler that must not end, whatever becomes of the broker."""

import functools
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dramatiq import Actor, Message

from ..base.emit import emit_counter
from ..base.errors import GuardError
from .schedule import CronSchedule

#: How often a tick that cannot be sent is sent again, and the seconds waited before each time.
SEND_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)

#: Message options: the tick's minute, whether it was granted before, whether it is made up for.
TICK, CLAIMED, MADE_UP = "cron_tick", "cron_claimed", "cron_made_up"

#: The option in which `periodiq` says when it sent.
SCHEDULED_AT = "scheduled_at"

logger = logging.getLogger(__name__)


class TickSender:
    """Makes an actor's `send_with_options` survive what a scheduler does with it.

    `periodiq` ends when a send raises. Sends of ticks, told by their `scheduled_at`, are repeated for a while and
    then given up; the workers' look for missed ticks finds them. All other sends are as ever.

    Parameters:
      wait: Waits some seconds between two tries.
    """

    def __init__(self, wait: Callable[[float], None]) -> None:
        self._wait = wait
        self._is_away = False

    def outlast(self, actor: "Actor[..., Any]", schedule: CronSchedule) -> None:
        """Wrap the actor's `send_with_options`; fine to do twice."""
        plain = actor.send_with_options
        if getattr(plain, "_outlasts", False):
            return

        @functools.wraps(plain)
        def send_with_options(**options: Any) -> "Message[Any]":
            if SCHEDULED_AT not in options:
                return plain(**options)
            return self._send(actor, plain, {**options, "args": arguments(schedule)})

        send_with_options._outlasts = True  # type: ignore[attr-defined]  # functions take attributes
        actor.send_with_options = send_with_options  # type: ignore[method-assign]

    def _send(
        self, actor: "Actor[..., Any]", plain: "Callable[..., Message[Any]]", options: dict[str, Any]
    ) -> "Message[Any]":
        # While the broker is known to be away each tick is tried once: a scheduler has others to send.
        waits = () if self._is_away else SEND_WAITS_S
        for wait_s in (*waits, None):
            try:
                sent = plain(**options)
            except Exception as error:  # noqa: BLE001  # a scheduler that ends sends nothing ever after
                refused = isinstance(error, GuardError)
                logger.warning("A tick of %s could not be sent: %s", actor.actor_name, type(error).__name__)
                if wait_s is None or refused:
                    self._is_away = not refused
                    break
                self._wait(wait_s)
            else:
                self._is_away = False
                return sent
        emit_counter("cron_sends_failed_total", {"actor": actor.actor_name})
        logger.error("A tick of %s was not sent; workers will find it missed.", actor.actor_name)
        return actor.message_with_options(**options)


def arguments(schedule: CronSchedule) -> tuple[object, ...]:
    """What each message of a schedule carries."""
    return () if schedule.payload is None else (dict(schedule.payload),)


def minute_of(moment: datetime) -> int:
    """Whole minutes since 1970."""
    return int(moment.timestamp()) // 60


def moment_of(minute: int) -> datetime:
    """The moment a minute begins."""
    return datetime.fromtimestamp(minute * 60, UTC)
