"""Pauses: how they are asked for, kept, and known to a process."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple, Protocol

from dramatiq.broker import MessageProxy
from dramatiq.common import q_name

from ..base.messages import org_of

#: Characters of a name and of a reason; every process keeps them in memory.
MAX_WHO_CHARS = 256
MAX_REASON_CHARS = 2_000

logger = logging.getLogger(__name__)


class PauseTarget(NamedTuple):
    """What is paused: a queue, an actor, an org, or an org's actor.

    Example:
      >>> str(PauseTarget(actor="domain_export", org="acme"))
      'actor domain_export of org acme'
    """

    queue: str | None = None
    actor: str | None = None
    org: str | None = None
    #: Whose word it is, as `PauseControl` was told; the same thing may be paused once on each level.
    level: str = ""

    @property
    def kind(self) -> str:
        """What is paused: `queue`, `actor`, `org` or `org_actor`."""
        if self.queue is not None:
            return "queue"
        if self.org is None:
            return "actor"
        return "org" if self.actor is None else "org_actor"

    def __str__(self) -> str:
        named = (("queue", self.queue), ("actor", self.actor), ("org", self.org))
        return " of ".join(f"{kind} {name}" for kind, name in named if name is not None)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Messages of a kind are held back."""

    what: PauseTarget
    #: Who paused it, and why.
    who: str
    reason: str = ""
    #: When it began and when it ends by itself, epoch milliseconds by the store's clock; None for never.
    since_ms: int = 0
    until_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class InForce:
    """All pauses there are at a moment."""

    #: To ask with the next time.
    version: int
    #: The store's clock.
    now_ms: int
    #: Oldest first.
    pauses: list[Pause] = field(default_factory=list)


class PauseStore(Protocol):
    """Keeps pauses until they are taken back or over. Every method may raise `StoreUnavailable`."""

    def put(self, pause: Pause, *, for_ms: int | None) -> Pause:
        """Keep a pause instead of one of the same target; it, with the store's times in it."""

    def remove(self, what: PauseTarget) -> bool:
        """Take a pause back; whether it was in force."""

    def read(self, since: int) -> InForce | None:
        """All pauses in force; None when nothing was put or removed since the version `since`."""


class PauseControl:
    """Pauses and resumes, from anywhere. Takes effect within a second or so, where a worker has the guard `Pauses`
    on the same store.

    What is meant is one of `queue`, `actor`, `org`, or `actor` and `org` together: that org's messages to that
    actor. An org is what messages carry as option `org`, or else as their payload's `org_id`.

    Parameters:
      store: Where the workers' guard looks.
      level: Whose word it is, where some may not resume what others have paused: a switch replaces and resumes the
        pauses of its own level alone. Default the empty one.

    Raises:
      StoreUnavailable: From every method: the store does not answer. Whether it was asked is not known; asking
        again is harmless.

    Example:
      >>> switch = PauseControl(RedisPauseStore(client))
      >>> switch.pause(queue="publishing", who="ada", reason="their API is being migrated")
      >>> switch.resume(queue="publishing")
    """

    def __init__(self, store: PauseStore, *, level: str = "") -> None:
        self._store = store
        self._level = level

    def pause(
        self,
        *,
        queue: str | None = None,
        actor: str | None = None,
        org: str | None = None,
        who: str,
        reason: str = "",
        for_ms: int | None = None,
    ) -> Pause:
        """Hold messages back, from now on; what runs goes on.

        Parameters:
            queue: the queue's name; with `.<region>`, as `in_region` makes it, in that region alone.
            actor: the actor's name.
            org: whose.
            who: who asks for it; shown to whoever asks why a job does not run.
            reason: why. Default none.
            for_ms: when it ends by itself, in milliseconds from now by the store's clock. Default: never.

        Returns:
            The pause. One of the same target is replaced.

        Raises:
            ValueError: nothing, or no such target, is named; nobody is; a number or text is out of bounds.
        """
        if not who.strip() or len(who) > MAX_WHO_CHARS:
            raise ValueError(f"who must say who pauses it, in at most {MAX_WHO_CHARS} characters")
        if len(reason) > MAX_REASON_CHARS:
            raise ValueError(f"reason may have {MAX_REASON_CHARS} characters, not {len(reason)}")
        if for_ms is not None and for_ms < 1:
            raise ValueError(f"for_ms must be at least 1, or None for no end, not {for_ms}")
        return self._store.put(
            Pause(what=self._target(queue, actor, org), who=who.strip(), reason=reason),
            for_ms=for_ms,
        )

    def resume(self, *, queue: str | None = None, actor: str | None = None, org: str | None = None) -> bool:
        """Let messages run again. Only this pause ends: another one that holds the same messages stays.

        Returns:
            Whether it was in force.

        Raises:
            ValueError: nothing, or no such target, is named.
        """
        return self._store.remove(self._target(queue, actor, org))

    def in_force(self) -> list[Pause]:
        """All pauses, of every level, oldest first."""
        # No version is less than nought, so this is never told that nothing changed.
        now = self._store.read(-1)
        return [] if now is None else now.pauses

    def _target(self, queue: str | None, actor: str | None, org: str | None) -> PauseTarget:
        if "" in (queue, actor, org):
            raise ValueError("a name is empty")
        if queue is None and actor is None and org is None:
            raise ValueError("name a queue, an actor or an org: nothing would mean every message there is")
        if queue is not None and (actor is not None or org is not None):
            raise ValueError(
                "name a queue alone: an actor has one queue, and an org's share of a queue has no pause"
            )
        return PauseTarget(queue=queue, actor=actor, org=org, level=self._level)


class PauseCache:
    """What this process knows of a store, for looking up without asking it.

    Parameters:
      store: The store.
      monotonic: Seconds that only go forward. Default `time.monotonic`.
    """

    def __init__(self, store: PauseStore, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._version = -1
        #: By target: the pause, and until when by this process's clock. Replaced whole, so readers need no lock.
        self._known: dict[PauseTarget, tuple[Pause, float]] = {}
        self._levels: tuple[str, ...] = ()

    def refresh(self) -> None:
        """Fetch all pauses if anything changed: one round trip either way."""
        with self._lock:
            now = self._store.read(self._version)
            if now is None:
                return
            began_s = self._monotonic()
            known = {each.what: (each, began_s + _left_s(each, now.now_ms)) for each in now.pauses}
            before, self._known, self._version = self._known, known, now.version
            self._levels = tuple({each.level for each in known})
        for what in known.keys() - before.keys():
            pause = known[what][0]
            logger.info("Paused: %s, by %s: %s", what, pause.who, pause.reason or "no reason given")
        for what in before.keys() - known.keys():
            logger.info("No longer paused: %s", what)

    def in_force(self) -> list[tuple[Pause, int]]:
        """What is known and not over, with the milliseconds each has left; 0 for those without an end."""
        now_s = self._monotonic()
        return [
            (pause, 0 if pause.until_ms is None else int((end_s - now_s) * 1_000))
            for pause, end_s in self._known.values()
            if now_s < end_s
        ]

    def match(self, message: MessageProxy) -> Pause | None:
        """A pause that is known, in force and means this message."""
        known = self._known
        if not known:
            return None
        org, actor = org_of(message), message.actor_name
        queue, region = q_name(message.queue_name), message.options.get("region")
        candidates = [PauseTarget(queue=queue), PauseTarget(actor=actor)]
        if region and queue.endswith(f".{region}"):
            candidates.append(PauseTarget(queue=queue.removesuffix(f".{region}")))
        if org is not None:
            candidates += [PauseTarget(org=org), PauseTarget(actor=actor, org=org)]
        now_s = self._monotonic()
        for level, what in product(self._levels, candidates):
            pause, end_s = known.get(what._replace(level=level), (None, 0.0))
            if pause is not None and now_s < end_s:
                return pause
        return None


def _left_s(pause: Pause, now_ms: int) -> float:
    return float("inf") if pause.until_ms is None else (pause.until_ms - now_ms) / 1_000
