"""Dead letters: what failed for good is kept, can be understood, and can be sent again."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from dramatiq import Broker, Message, Worker
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError

from ..base.bounds import check_at_least
from ..base.classification import class_name, is_retryable
from ..base.emit import emit_counter
from ..base.errors import GuardError
from ..base.guard import Guard, Option, Position
from ..base.redaction import SECRET_PATHS, mark_secrets
from .describe import letter_of, outline_of, unreadable
from .forwarder import DEFAULT_INTERVAL_MS, DEFAULT_LEASE_MS, STOP_TIMEOUT_S, Mover, Source, Target
from .letter import REPLAY_OF, DeadLetter, Stats
from .undecodable import keep_undecodable

#: Most bytes of JSON, or of a message that cannot be read, that a letter holds.
DEFAULT_MAX_ENTRY_BYTES = 1_500_000

logger = logging.getLogger(__name__)


class DeadLettersUnavailable(GuardError, BrokerConnectionError):
    """The letter could not be written down, so the message is not rejected yet.

    Both parents are needed: Dramatiq lets a `MiddlewareError` through its hooks, and repeats a rejection that
    failed with a `BrokerConnectionError` until it succeeds.
    """

    retryable: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]  # Dramatiq's


class DeadLetterBox(Protocol):
    """The letters that somebody may see: one org's, or, for operators, all. Everything else is not found."""

    def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[DeadLetter]:
        """Return a page of letters, the newest first.

        Parameters:
          after: The `cursor` of the last letter of the page before. Default None, from the newest.
          limit: 1 to 1,000. Default 100.
        """

    def list_by_category(
        self, category: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Return a page of the letters of one category, as `list`."""

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return the letter; None when there is none, or it is somebody else's."""

    def mark_replayed(
        self,
        letter_id: str,
        message_id: str | None,
        *,
        at_ms: int,
        instead_of: str | None,
        changes: Sequence[Mapping[str, object]] = (),
    ) -> bool:
        """Note which message repeats the letter, if it is still marked as it was; of many callers one succeeds.

        Parameters:
          letter_id: The letter.
          message_id: The message; None takes the mark away.
          at_ms: The time, in milliseconds since 1970.
          instead_of: What the letter has to be marked with until now; None, with nothing.
          changes: What an edit changed. Default nothing.

        Returns:
          Whether it was marked so, and is now marked with `message_id`.
        """

    def delete(self, letter_id: str) -> bool:
        """Remove one letter; False when there is none, or it is somebody else's."""

    def purge(self, before_ms: int) -> int:
        """Remove what was dead-lettered before a time, in epoch milliseconds; returns how many letters."""

    def stats(self) -> Stats:
        """Return how many letters there are by category, region, actor and fingerprint."""


class DeadLetterStore(Target, Protocol):
    """Where letters are kept."""

    def of_org(self, org: str) -> DeadLetterBox:
        """Return the box of one org. Raises `ValueError` for an empty name."""

    def of_every_org(self) -> DeadLetterBox:
        """Return the box of all letters, those without an org too. For operators, never for what an org asks."""


class DeadLetterSpool(Source, Target, Protocol):
    """Where letters wait until they are in the store; up whenever the broker is."""


class DeadLetters(Guard):
    """Keeps every message that is dead-lettered, with what is needed to understand it and to send it again.

    Without it Dramatiq drops a rejected message after a week, says nothing about why it failed, and rejects what
    it cannot read with a traceback in a log. With it there is a letter for

    - a message that failed for good, whichever guard or error ended it;
    - a message for an actor that this build does not have;
    - a message that was too old when a worker took it;
    - bytes that are no message, as they came (on Redis, the stub broker, and brokers that hand them over);
    - a message that its broker gave up before it began, since it killed the workers that tried.

    A letter never holds what a contract marks as secret, nor the text of an error that may quote it. It is
    written before the message is rejected: while that is impossible the rejection is repeated, and a worker that
    is killed meanwhile leaves the message to another one. With a `spool` a letter goes there first, and a thread
    in each worker moves it to the store, so that the store may be away for days. Without, it goes to the store.

    A message that succeeds, is parked, retried or skipped costs nothing; one that is given up costs one round
    trip, and each worker process asks the spool once a second.

    Parameters:
      store: Keeps the letters.
      spool: Takes them first. Default None.
      max_entry_bytes: Most bytes of JSON a letter holds; a larger payload is left out, and the letter says so.
        Default 1,500,000.
      move_interval_ms: Milliseconds between two looks into the spool. Default 1,000.
      lease_ms: Milliseconds after which letters are moved by another worker, when this one stopped in the
        middle. Default 10,000.
      shutdown_timeout_s: How long a worker that stops waits for the last move, in seconds; what is not moved stays
        in the spool. Default 10.
      now_ms: Milliseconds since 1970; for tests. Default: this machine's clock.

    Example:
      >>> client = redis.Redis()
      >>> broker.add_middleware(DeadLetters(RedisDeadLetterStore(client), spool=RedisDeadLetterSpool(client)))
    """

    checks_payload = True
    position = Position.KEEP
    message_options = (Option(REPLAY_OF, "life"), Option(SECRET_PATHS, "caller"))

    def __init__(
        self,
        store: DeadLetterStore,
        *,
        spool: DeadLetterSpool | None = None,
        max_entry_bytes: int = DEFAULT_MAX_ENTRY_BYTES,
        move_interval_ms: int = DEFAULT_INTERVAL_MS,
        lease_ms: int = DEFAULT_LEASE_MS,
        shutdown_timeout_s: float = STOP_TIMEOUT_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        check_at_least(
            1, max_entry_bytes=max_entry_bytes, move_interval_ms=move_interval_ms, lease_ms=lease_ms
        )
        super().__init__()
        self.store = store
        self.spool = spool
        self.max_entry_bytes = max_entry_bytes
        self.move_interval_ms = move_interval_ms
        self.lease_ms = lease_ms
        self.shutdown_timeout_s = shutdown_timeout_s
        #: Whether the last stop moved what it could in time.
        self.flushed = True
        self._now_ms = now_ms
        self._movers: dict[Worker, Mover] = {}

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        # Who sends a message knows its contract; who finds it dead may be of an older build.
        mark_secrets(broker, message.asdict())

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        try:
            letter = letter_of(broker, message, now_ms=self._now_ms(), max_bytes=self.max_entry_bytes)
        except Exception as fault:  # noqa: BLE001  # an outline is better than nothing, and may be all there is
            self._count("describe", fault)
            letter = outline_of(broker, message, now_ms=self._now_ms(), fault=fault)
        self._keep(letter, known_actor=message.actor_name in broker.actors)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        keep_undecodable(broker, self._keep_undecodable)

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        if self.spool is not None:
            mover = Mover(self.spool, self.store, interval_ms=self.move_interval_ms, lease_ms=self.lease_ms)
            self._movers[worker] = mover
            mover.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        mover = self._movers.pop(worker, None)
        if mover is not None:
            self.flushed = mover.stop(self.shutdown_timeout_s)

    def keep_undecodable(self, broker: Broker, queue_name: str, body: bytes, mark: str = "") -> None:
        """Keep bytes that are no message; for brokers that find them, before they reject them.

        Parameters:
            broker: Who asks.
            queue_name: Where they were.
            body: All of them.
            mark: Tells equal bytes in one queue apart. Default none: they are one letter.

        Raises:
            DeadLettersUnavailable: they could not be kept; do not reject them yet, and ask again.
        """
        self._keep_undecodable(queue_name, body, mark)

    def _keep_undecodable(self, queue: str, raw: bytes, mark: str) -> None:
        letter = unreadable(queue, raw, mark, now_ms=self._now_ms(), max_bytes=self.max_entry_bytes)
        self._keep(letter, known_actor=False)

    def _keep(self, letter: DeadLetter, *, known_actor: bool) -> None:
        try:
            new = (self.spool or self.store).put([letter])
        except Exception as error:
            self._count("keep", error)
            if is_retryable(error):
                raise DeadLettersUnavailable(
                    f"the dead letter of message {letter.message_id} cannot be written ({class_name(error)}); "
                    "the message stays where it is until it can"
                ) from error
            # Refused for good: the broker's own queue of rejected messages is what is left.
            logger.error(  # noqa: TRY400  # a traceback of the store's may quote the letter
                "Dead letter %s of message %s was refused.", letter.id, letter.message_id
            )
            return
        if new:
            # Names that come out of a queue are anybody's; a label has few values.
            actor = letter.actor if known_actor and letter.actor else "unknown"
            emit_counter(
                "dead_letters_total", {"actor": actor, "queue": letter.queue, "category": letter.category}
            )
            logger.warning(
                "Message %s of %s was given up (%s) and kept as dead letter %s.",
                letter.message_id,
                letter.actor,
                letter.category,
                letter.id,
            )
        for mover in list(self._movers.values()):
            mover.wake()
