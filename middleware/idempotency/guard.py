"""Idempotency: of all messages with one key, one runs to its end."""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn, Protocol, runtime_checkable
from uuid import uuid4

from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy

from ..base.bounds import check_at_least
from ..base.delegation import AckOperation, complete_on_ack
from ..base.emit import emit_counter
from ..base.errors import DuplicateMessage, Parked, Skipped, StoreUnavailable
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, Guard, OnError, Option, Outcome, Position
from ..base.messages import copy_of, keep_stored_result, org_of, payload_of
from ..base.options import option_of
from ..base.sending import sending_of

#: How long a key is remembered, in milliseconds: a day.
DEFAULT_WINDOW_MS = 24 * 60 * 60 * 1_000
#: How long a duplicate is parked before it asks again, in milliseconds.
DEFAULT_PARK_MS = 5_000
#: How long a key stays reserved for a message whose enqueue has not returned yet, in milliseconds.
DEFAULT_RESERVE_MS = 5_000
#: How many ends of attempts are remembered while the store is away; the oldest are dropped first.
_MAX_LATE = 1_000

#: What becomes of a message whose key another message has.
OnDuplicate = Literal["skip", "park", "reject"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """The answer of a store to a claim."""

    #: `claimed`: yours now. `held`: another holder's, in progress. `done`: the work was done, by whomever.
    state: Literal["claimed", "held", "done"]
    #: Who has the key.
    holder: str


class IdempotencyStore(Protocol):
    """Who has which key. Every method is atomic; every claim is gone when its time is over.

    A token names one attempt: what `keep`, `finish` and `give_back` say counts only for the claim that is
    still under the token it was made with.
    """

    def claim(self, key: str, *, holder: str, token: str, ttl_ms: int) -> Claim:
        """Take the key unless another holder has it or its work is done; the same holder takes over."""

    def keep(self, key: str, *, token: str, ttl_ms: int) -> bool:
        """Let the claim last for `ttl_ms` from now. Returns whether it still is this token's."""

    def finish(self, key: str, *, token: str, ttl_ms: int) -> bool:
        """Mark the work as done, for `ttl_ms` from now. Returns whether the claim still is this token's."""

    def give_back(self, key: str, *, token: str) -> bool:
        """Free the key. Returns whether it was this token's to give, and not done."""


@runtime_checkable
class EndingStore(Protocol):
    """An `IdempotencyStore` whose claims a broker can end, in the very step that ends their message."""

    def ending(self, key: str, *, token: str, done: bool, ttl_ms: int) -> AckOperation:
        """Return the operation that does what `finish` (done) or `give_back` would do."""


@dataclass(frozen=True)
class ClaimedKey:
    """What an attempt holds while it runs."""

    key: str
    token: str
    actor_name: str


class Idempotency(Guard[ClaimedKey]):
    """Lets one of all messages with the same idempotency key run to its end.

    Without it a caller who sends again because the answer got lost, or a user who clicks twice, has the work
    done twice. With it

    - the first message claims the key; others with it are duplicates and do what `on_duplicate` says;
    - a message that is delivered again after a crash takes its own claim over and runs; one that is delivered
      again after it was done is skipped;
    - a failed, parked or skipped attempt gives the claim back, and its own retry claims again;
    - a worker that was taken for dead and wakes up cannot finish a claim that is another attempt's by now: its
      finish is refused and counted (`idempotency_stale_finish_total`).

    A key is one actor's and one org's: no org can take another's. Two round trips to the store for a message
    with a key, two more at send with `"reject"`, none for a message without a key. A broker that ends
    claims together with their messages saves the second (see `RedisIdempotencyStore`); a refused finish is its to
    count then.

    Parameters:
      store: `MemoryIdempotencyStore()` or `RedisIdempotencyStore(client)`.
      key: Name of the payload's field, or a callable that gets the message and returns its key. Default
        `"idempotency_key"`. None or empty: the message has no key.
      window_ms: How long a key is remembered, in milliseconds. Default 24 hours.
      on_duplicate: `"skip"` the duplicate (default); `"park"` it until the first is done, and run it if the
        first fails for good; `"reject"` it at send with `DuplicateMessage`, and skip what got in all the same.
      park_ms: How long a duplicate is parked before it asks again. Default 5,000.
      reserve_ms: With `"reject"`, how long a key stays reserved when a send fails half-way. Default 5,000.
      on_error, undecided_delay_ms: See `Guard`.

    Actor option `idempotent`: None (default) takes part when the message has a key; True also without one, under
    the message's own id, so that it does not run again once it is done; False never takes part.

    Example:
      >>> broker.add_middleware(Idempotency(RedisIdempotencyStore(client)))
      >>> charge.send({"org_id": "acme", "amount": 5, "idempotency_key": "order-17"})
    """

    position = Position.DEDUPLICATE
    actor_options: ClassVar[set[str]] = {"idempotent"}
    message_options = (Option("idempotent", "caller"),)

    def __init__(
        self,
        store: IdempotencyStore,
        *,
        key: "str | Callable[[Message[Any]], str | None]" = "idempotency_key",
        window_ms: int = DEFAULT_WINDOW_MS,
        on_duplicate: OnDuplicate = "skip",
        park_ms: int = DEFAULT_PARK_MS,
        reserve_ms: int = DEFAULT_RESERVE_MS,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
    ) -> None:
        super().__init__(on_error=on_error, undecided_delay_ms=undecided_delay_ms)
        if on_duplicate not in ("skip", "park", "reject"):
            raise ValueError(f"on_duplicate must be 'skip', 'park' or 'reject', not {on_duplicate!r}")
        check_at_least(1, window_ms=window_ms, park_ms=park_ms, reserve_ms=reserve_ms)
        if not callable(key) and not key:
            raise ValueError("key must be the name of a field or a callable, not empty")
        self.store = store
        self._ending_store = store if isinstance(store, EndingStore) else None
        self.key = key
        self.window_ms = window_ms
        self.on_duplicate: OnDuplicate = on_duplicate
        self.park_ms = park_ms
        self.reserve_ms = reserve_ms
        self._late: deque[tuple[ClaimedKey, bool]] = deque(maxlen=_MAX_LATE)

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        key = self._key_of(broker, message) if self.on_duplicate == "reject" else None
        if key is None:
            return
        held = ClaimedKey(key, uuid4().hex, message.actor_name)
        claim = self.store.claim(key, holder=_holder(message), token=held.token, ttl_ms=self.reserve_ms)
        if claim.state != "claimed":
            _count_duplicate(message, "rejected")
            raise DuplicateMessage(message.actor_name, claim.holder.partition(" ")[0])
        sending = sending_of(message)
        if sending is not None:
            sending.kept[id(self)] = held

    def after_enqueue(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        sending = sending_of(message) if self.on_duplicate == "reject" else None
        if sending is None:
            return
        held, sending.kept[id(self)] = sending.kept.get(id(self)), None
        if held is None:
            return
        try:
            self.store.keep(held.key, token=held.token, ttl_ms=self.window_ms + (delay or 0))
        except Exception as error:  # noqa: BLE001  # it is enqueued; `admit` claims again
            self._count("check", error)

    def admit(self, broker: Broker, message: MessageProxy) -> ClaimedKey | None:
        key = self._key_of(broker, message._message)
        if key is None:
            return None
        held = ClaimedKey(key, uuid4().hex, message.actor_name)
        claim = self.store.claim(key, holder=_holder(message), token=held.token, ttl_ms=self.window_ms)
        if claim.state != "claimed":
            self._turn_away(message, claim)
        self._end_late_ones()
        return held

    def settle(self, broker: Broker, message: MessageProxy, held: ClaimedKey, outcome: Outcome) -> None:
        if complete_on_ack(broker, message, self._ending(held, done=outcome.succeeded)):
            return
        try:
            self._end(held, done=outcome.succeeded)
        except StoreUnavailable:
            # The key must not stay blocked for the window because the store was away for a moment.
            self._late.append((held, outcome.succeeded))
            raise

    def _turn_away(self, message: MessageProxy, claim: Claim) -> NoReturn:
        own = claim.holder.partition(" ")[0] == message.message_id
        if claim.state == "done":
            if own:
                keep_stored_result(message)
            _count_duplicate(message, "skipped")
            raise Skipped("the work of its idempotency key is done")
        if own or self.on_duplicate == "park":
            _count_duplicate(message, "parked")
            raise Parked(
                "its idempotency key is in use", delay_ms=self.park_ms, key=f"idempotency:{claim.holder}"
            )
        _count_duplicate(message, "skipped")
        raise Skipped("another message has its idempotency key")

    def _ending(self, held: ClaimedKey, *, done: bool) -> AckOperation | None:
        if self._ending_store is None:
            return None
        return self._ending_store.ending(held.key, token=held.token, done=done, ttl_ms=self.window_ms)

    def _end(self, held: ClaimedKey, *, done: bool) -> None:
        if not done:
            self.store.give_back(held.key, token=held.token)
        elif not self.store.finish(held.key, token=held.token, ttl_ms=self.window_ms):
            emit_counter("idempotency_stale_finish_total", {"actor": held.actor_name})
            logger.warning(
                "A finish of %s was refused: its claim is another attempt's by now, or gone.", held.actor_name
            )

    def _end_late_ones(self) -> None:
        while self._late:
            held, done = self._late.popleft()
            try:
                self._end(held, done=done)
            except StoreUnavailable:
                self._late.append((held, done))
                return

    def _key_of(self, broker: Broker, message: "Message[Any]") -> str | None:
        """The store's key for a message: a digest, so that no part of it can be taken for another."""
        idempotent = option_of(broker, message, "idempotent")
        if idempotent is False:
            return None
        own = self.key(message) if callable(self.key) else payload_of(message).get(self.key)
        if own is None or own == "":
            if not idempotent:
                return None
            own = {"message_id": message.message_id}
        scope = json.dumps([message.actor_name, org_of(message), own], sort_keys=True, default=str)
        return hashlib.sha256(scope.encode()).hexdigest()


def _holder(message: "Message[Any] | MessageProxy") -> str:
    # A copy that was made to wake the message is another holder: each takes over its own claims only.
    return f"{message.message_id} {copy_of(message)}".rstrip()


def _count_duplicate(message: "Message[Any] | MessageProxy", outcome: str) -> None:
    emit_counter("idempotency_duplicates_total", {"actor": message.actor_name, "outcome": outcome})
