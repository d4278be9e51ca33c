"""What becomes of a message that was fetched, before the worker sees it: most are handed on, some must not run."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

from dramatiq import Broker, Message
from dramatiq.errors import BrokerError, DecodeError

from ..bounds import printable
from ..errors import PoisonMessage
from ..keys import COUNTED
from .lease import DEAD, DONE, QUARANTINED, Lease, LeasedMessage, Sent
from .session import WorkerSession
from .shape import fault_of

#: How long a message of an actor that nobody here knows waits for a worker that does, in milliseconds: a day.
DEFAULT_HOLD_MS = 24 * 60 * 60 * 1_000
#: How long bytes wait that could not be kept, in milliseconds.
KEEP_AGAIN_MS = 1_000
#: Option of a message that was held: until when, in epoch milliseconds of this machine.
HELD_UNTIL = "held_until"

logger = logging.getLogger(__name__)


@runtime_checkable
class KeepsUndecodable(Protocol):
    """Middleware that keeps bytes which are no message."""

    def keep_undecodable(self, broker: Broker, queue_name: str, body: bytes, mark: str = "") -> None:
        """Keep bytes that are no message, whole.

        Parameters:
            mark: distinguishes equal bytes; the same when they are offered again.

        Raises:
            Exception: they are not kept; they are offered again.
        """


class Intake:
    """Makes messages of leases.

    - Bytes that are no message are dead, and strand nobody; middleware that can keeps them before.
    - A message whose workers died with it once too often is handed on as failed: it does not run, and whoever handles
      rejected messages sees it.
    - A message of an actor that this build does not know is held for a worker that does, for `hold_ms`; after that
      Dramatiq rejects it.

    Parameters:
        broker: whose actors and middleware.
        session: holds the leases.
        deaths_of: finds what is kept of the workers that died with a message, by its id.
        copy_of: an enqueue of a message, with so many milliseconds of delay and what it is parked for.
        hold_ms: see above.
        now_ms: epoch milliseconds; for tests. Default: this machine's clock.
    """

    def __init__(
        self,
        broker: Broker,
        session: WorkerSession,
        deaths_of: "Callable[[str], str]",
        copy_of: "Callable[[Message[Any], int, str], Sent]",
        *,
        hold_ms: int = DEFAULT_HOLD_MS,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._broker = broker
        self._session = session
        self._deaths_of = deaths_of
        self._copy_of = copy_of
        self._hold_ms = hold_ms
        self._now_ms = now_ms

    def __call__(self, lease: Lease, body: bytes) -> LeasedMessage | None:
        """The message for the worker; None where there is none for it."""
        try:
            return self._message_of(lease, body)
        except DecodeError as error:
            self._dead_letter(lease, body, str(error))
        except Exception as error:  # noqa: BLE001  # one message's, whatever it is: others wait behind it
            self._dead_letter(lease, body, type(error).__name__)
        return None

    def _message_of(self, lease: Lease, body: bytes) -> LeasedMessage | None:
        try:
            message: Message[Any] = Message.decode(body)
        except DecodeError as error:
            raise DecodeError("it cannot be decoded", b"", error) from None  # type: ignore[no-untyped-call]
        fault = fault_of(message, lease)
        if fault is not None:
            raise DecodeError(fault, b"", None)  # type: ignore[no-untyped-call]
        works = self._session.worker is not None
        if works and message.actor_name not in self._broker.actors and self._holds(lease, message):
            return None
        leased = LeasedMessage(message, lease)
        if lease.flag == QUARANTINED:
            leased.fail()
            leased.stuff_exception(_poison(self._deaths_of(lease.message_id)))
        return leased

    def _dead_letter(self, lease: Lease, body: bytes, fault: str) -> None:
        # Its bytes are in nobody's log: they may be anybody's data.
        logger.error("A message of queue %s is none (%s); it is dead.", printable(lease.queue), fault)
        try:
            for each in self._broker.middleware:
                if isinstance(each, KeepsUndecodable):
                    each.keep_undecodable(self._broker, lease.queue, body, lease.message_id)
        except Exception as error:  # noqa: BLE001  # a store's errors are its client's
            logger.warning("It cannot be kept (%s) and comes again.", type(error).__name__)
            header = f"{lease.queue}\n{lease.org}\n{lease.lane}\n{COUNTED}{uuid4().hex}\n"
            record = header.encode("utf-8", "surrogateescape") + body
            parked = "its bytes cannot be kept\nundecodable"
            lease.carried = [Sent(lease.message_id, uuid4().hex, KEEP_AGAIN_MS, parked, record)]
            self._session.end(lease, DONE)
        else:
            self._session.end(lease, DEAD)

    def _holds(self, lease: Lease, message: Message[Any]) -> bool:
        now_ms, until_ms = self._now_ms(), message.options.get(HELD_UNTIL)
        if isinstance(until_ms, int) and until_ms <= now_ms:
            return False
        # Nothing is held for longer, whoever says so.
        if not isinstance(until_ms, int) or until_ms > now_ms + self._hold_ms:
            until_ms = now_ms + self._hold_ms
            message = replace(message, options={**message.options, HELD_UNTIL: until_ms})
        logger.warning(
            "Message %s is for actor %s, which this worker does not know; it is held for one that does.",
            message.message_id,
            message.actor_name,
        )
        parked = f"no worker knows its actor\n{unknown_actor(message.actor_name)}"
        lease.carried = [self._copy_of(message, until_ms - now_ms, parked)]
        self._session.end(lease, DONE)
        return True


def _poison(accounts: str) -> PoisonMessage:
    deaths, _, last = (*accounts.split("|", 2), "unknown", "unknown")[:3]
    return PoisonMessage(int(deaths) if deaths.isdecimal() else 0, last)


def unknown_actor(actor_name: str) -> str:
    """The key under which messages of an unknown actor are held."""
    return f"actor:{actor_name}"


def release_held(actors: Iterable[str], release: Callable[[str], int]) -> None:
    """Release what is held for a worker that knows these actors; a broker that is away is logged.

    Parameters:
        actors: their names.
        release: makes due what is parked under a key.
    """
    try:
        for name in actors:
            release(unknown_actor(name))
    except BrokerError as error:
        logger.warning("What is held for this worker is not released (%s); it waits its time.", error)
