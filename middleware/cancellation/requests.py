"""Requests to cancel: how they are made, kept, and known to a process."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from dramatiq.broker import MessageProxy
from dramatiq.common import q_name

from ..base.bounds import check_at_least

#: How long a request stays in force, in milliseconds: a day.
DEFAULT_KEEP_FOR_MS = 24 * 60 * 60 * 1_000


@dataclass(frozen=True, kw_only=True)
class CancelRequest:
    """Somebody asked for one message, or for all of a kind, to be cancelled."""

    #: Names the request, to withdraw it by. Of a request for one message: `request_id_of` it.
    request_id: str
    #: The one message that is meant; None where it is all that fit the others. With `org` only that org's is meant.
    message_id: str | None = None
    actor: str | None = None
    org: str | None = None
    queue: str | None = None
    #: How long it stays in force, in milliseconds; as read from a store: how much longer.
    keep_for_ms: int = DEFAULT_KEEP_FOR_MS
    #: When it was made, epoch milliseconds by the store's clock. Later messages are not meant. Set by the store.
    requested_at_ms: int = 0
    #: Whether it was taken back.
    withdrawn: bool = False

    def fits(self, message: MessageProxy) -> bool:
        """True if the message is one of those that are meant."""
        if self.message_id is not None:
            return message.message_id == self.message_id and self.org in (None, message.options.get("org"))
        return (
            message.message_timestamp <= self.requested_at_ms
            and self.actor in (None, message.actor_name)
            and self.org in (None, message.options.get("org"))
            and self.queue in (None, q_name(message.queue_name))
        )


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What happened in a store since somebody looked."""

    #: To ask with the next time.
    version: int
    #: What was made or withdrawn, in that order, each as it is now.
    requests: list[CancelRequest] = field(default_factory=list)


class CancellationStore(Protocol):
    """Keeps requests for as long as they are in force. Every method may raise `StoreUnavailable`."""

    def add(self, request: CancelRequest) -> None:
        """Keep a request, instead of one with the same id."""

    def withdraw(self, request_id: str) -> bool:
        """Take a request back; whether it was in force."""

    def changes(self, since: int) -> Changes:
        """What was made or withdrawn after `since`, a bounded number at a time; 0 for all there is."""


def request_id_of(message_id: str, org: str | None = None) -> str:
    """The id of the request for one message: an org's request never stands in another one's place.

    Example:
        >>> request_id_of("6f1c"), request_id_of("6f1c", "acme")
        ('6f1c', 'acme:6f1c')
    """
    return message_id if org is None else f"{org}:{message_id}"


class CancellationClient:
    """Asks for messages to be cancelled, from anywhere. Takes effect within a second or so, where a worker
    has the guard `Cancellation` on the same store.

    Parameters:
      store: Where the workers' guard looks.

    Raises:
      StoreUnavailable: From every method: the store does not answer; nothing was asked.

    Example:
      >>> cancellations = CancellationClient(RedisCancellationStore(client))
      >>> cancellations.cancel(message.message_id)
      >>> cancellations.cancel_all(org="7c9e6679", actor="domain_export")
    """

    def __init__(self, store: CancellationStore) -> None:
        self._store = store

    def cancel(
        self, message_id: str, *, org: str | None = None, keep_for_ms: int = DEFAULT_KEEP_FOR_MS
    ) -> str:
        """Cancel one message: its attempt that runs, and those that would come.

        Parameters:
            message_id: the message's.
            org: what it has to carry as option `org`: whoever asks on an org's behalf names it, and cannot hit
                another's, whatever the id. Default any.
            keep_for_ms: how long to look out for it, in milliseconds; it may be delayed for longer than the
                default of a day.

        Returns:
            The request's id, to withdraw it by; without `org` the message's own.
        """
        check_at_least(1, keep_for_ms=keep_for_ms)
        request_id = request_id_of(message_id, org)
        self._store.add(
            CancelRequest(request_id=request_id, message_id=message_id, org=org, keep_for_ms=keep_for_ms)
        )
        return request_id

    def cancel_all(
        self,
        *,
        actor: str | None = None,
        org: str | None = None,
        queue: str | None = None,
        keep_for_ms: int = DEFAULT_KEEP_FOR_MS,
    ) -> str:
        """Cancel all messages that fit everything given and were made until now; later ones are not meant.

        Whether a message is older is told by its sender's clock and the store's.

        Parameters:
            actor: the actor's name. Default any.
            org: what the messages carry as option `org`. Default any.
            queue: the queue's name. Default any.
            keep_for_ms: how long to look out for them, in milliseconds. Default a day.

        Returns:
            The request's id, to withdraw it by.

        Raises:
            ValueError: nothing was given, which would mean everything there is.
        """
        check_at_least(1, keep_for_ms=keep_for_ms)
        if actor is None and org is None and queue is None:
            raise ValueError("name an actor, an org or a queue: nothing would mean every message there is")
        request_id = str(uuid4())
        self._store.add(
            CancelRequest(request_id=request_id, actor=actor, org=org, queue=queue, keep_for_ms=keep_for_ms)
        )
        return request_id

    def withdraw(self, request_id: str) -> bool:
        """Take a request back, by its id or the message's. What was cancelled meanwhile stays so.

        Returns:
            Whether it was in force.
        """
        return self._store.withdraw(request_id)

    def in_force(self) -> list[CancelRequest]:
        """All requests that are in force, oldest first."""
        known: dict[str, CancelRequest] = {}
        changes = self._store.changes(0)
        while changes.requests:
            known.update((each.request_id, each) for each in changes.requests)
            changes = self._store.changes(changes.version)
        return [each for each in known.values() if not each.withdrawn]


class RequestCache:
    """What this process knows of a store, for looking up without asking it.

    Parameters:
      store: The store.
      monotonic: Seconds that only go forward. Default `time.monotonic`.
    """

    def __init__(self, store: CancellationStore, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._version = 0
        self._known: dict[str, tuple[CancelRequest, float]] = {}
        self._filters: tuple[tuple[CancelRequest, float], ...] = ()

    def refresh(self) -> None:
        """Fetch what changed: one round trip when that is nothing."""
        with self._lock:
            changes = self._store.changes(self._version)
            while changes.requests:
                for request in changes.requests:
                    self._take(request)
                self._version = changes.version
                changes = self._store.changes(self._version)
            self._forget_what_ended()

    def match(self, message: MessageProxy) -> bool:
        """True if a request that is known and in force means this message."""
        # Requests for one message are known by that message's id, so that they need not be searched for.
        ids = {request_id_of(message.message_id, org) for org in (None, message.options.get("org"))}
        candidates = (*(self._known[each] for each in ids if each in self._known), *self._filters)
        if not candidates:
            return False
        now_s = self._monotonic()
        return any(now_s < end_s and request.fits(message) for request, end_s in candidates)

    def _take(self, request: CancelRequest) -> None:
        if request.withdrawn:
            self._known.pop(request.request_id, None)
        else:
            self._known[request.request_id] = (request, self._monotonic() + request.keep_for_ms / 1_000)

    def _forget_what_ended(self) -> None:
        now_s = self._monotonic()
        for request_id in [each for each, (_, end_s) in self._known.items() if end_s <= now_s]:
            del self._known[request_id]
        self._filters = tuple(each for each in self._known.values() if each[0].message_id is None)
