"""Limits per org: how often its jobs start, and how many run at once, whatever the other orgs do."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, NoReturn
from uuid import uuid4

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy

from ..base.delegation import ConcurrencyKeys, MaxActive, Rule, StartRate, SupportsRefund, delegate, stamp_org
from ..base.emit import emit_counter
from ..base.errors import Fault, GuardError, InvalidPayload, Parked, RateLimited, Skipped, StoreUnavailable
from ..base.guard import DEFAULT_UNDECIDED_DELAY_MS, Guard, OnError, Option, Outcome, Position
from ..base.messages import WAKE, copy_of, keep_stored_result, org_of
from ..base.options import option_of
from .rate import Rate
from .slots import Answer, Attempt, Concurrency, OrgLimitsStore, Slot, SlotKeeper, Wake

__all__ = ["Concurrency", "OrgLimits", "OrgLimitsStore", "Rate"]

#: How many jobs of one org may run at once.
DEFAULT_MAX_ACTIVE = 10
#: How long a slot outlives a worker that died with it, in milliseconds.
DEFAULT_LEASE_MS = 60_000
#: How long a message that waits for a slot is parked, in milliseconds, if nothing wakes it before.
DEFAULT_WAIT_MS = 30_000

#: Option of a message whose start is charged or reserved already: until when, in the store's milliseconds.
PAID_UNTIL = "rate_paid_until"

#: What becomes of a message that is over its rate when it is sent.
OnLimit = Literal["park", "reject"]

logger = logging.getLogger(__name__)


class OrgLimits(Guard[Slot]):
    """Keeps each org to its rate per actor and to its number of running jobs.

    Without it the org that sends a hundred thousand jobs has every worker to itself until they are done. With it

    - an actor's `rate` limits how often its jobs start for one org; what is over it is parked once, until the
      moment that was reserved for it, and then starts;
    - at most `max_active` jobs of one org run at once, all actors together; the others wait in line in the
      guard's store, and each job that ends hands its slot to the next and wakes it;
    - a message may ask for more: `concurrency=("site-7", 2)` lets two jobs with that key run at once, per org;
    - slots are leases, renewed while their process lives: those of a killed worker come back.

    What an attempt was charged is given back when it is parked or skipped further in. Each attempt that runs is
    one start. A message that belongs to no org is not limited; it belongs to the one its option `org` names, or
    else its payload's `org_id`. Two round trips to the store for a job with an org; one more for each wait.

    On a broker that enforces limits where messages are fetched (see `base.delegation`), all of this is the broker's,
    and the store is not asked: what may not run is not fetched. Not so with `"reject"` or `max_active_of`.

    Parameters:
      store: `MemoryOrgLimitsStore()` or `RedisOrgLimitsStore(client)`.
      max_active: Jobs of one org that run at once. Default 10; None: any number.
      max_active_of: Gets an org, returns its own number or None for `max_active`; asked before each attempt, so
        it should not wait for anything. Default None.
      on_limit: `"park"` (default), or `"reject"`: what is over its rate raises `RateLimited` at send. It is
        charged there then, and not again when it is performed.
      lease_ms: How long the slots of a killed worker stay taken, in milliseconds. Default 60,000.
      wait_ms: How long a waiting message is parked when nothing wakes it. Default 30,000; less than `lease_ms`.
      on_error, undecided_delay_ms: See `Guard`.

    Actor options `rate` (a `Rate`) and `concurrency` (a key and a number; a message's own goes before it).

    Example:
      >>> broker.add_middleware(OrgLimits(RedisOrgLimitsStore(client), max_active=10))
      >>> @dramatiq.actor(rate=Rate(20, per="1m", burst=5))
      ... def crawl(job): ...
      >>> crawl.send_with_options(args=({"org_id": "acme"},), concurrency=("acme.example", 2))
    """

    position = Position.LIMIT
    actor_options: ClassVar[set[str]] = {"rate", "concurrency"}
    message_options = (Option(PAID_UNTIL, "life"), Option("concurrency", "caller"))

    def __init__(
        self,
        store: OrgLimitsStore,
        *,
        max_active: int | None = DEFAULT_MAX_ACTIVE,
        max_active_of: Callable[[str], int | None] | None = None,
        on_limit: OnLimit = "park",
        lease_ms: int = DEFAULT_LEASE_MS,
        wait_ms: int = DEFAULT_WAIT_MS,
        on_error: OnError = "park",
        undecided_delay_ms: int = DEFAULT_UNDECIDED_DELAY_MS,
    ) -> None:
        super().__init__(on_error=on_error, undecided_delay_ms=undecided_delay_ms)
        if max_active is not None and max_active < 1:
            raise ValueError(f"max_active must be at least 1, or None for any number, not {max_active}")
        if on_limit not in ("park", "reject"):
            raise ValueError(f"on_limit must be 'park' or 'reject', not {on_limit!r}")
        if lease_ms < 3 or wait_ms < 1 or wait_ms >= lease_ms:
            raise ValueError(
                f"lease_ms must be at least 3 and wait_ms between 1 and lease_ms, not {lease_ms} and {wait_ms}; "
                "a slot that is handed to a waiter has to last until it comes by itself"
            )
        self.store = store
        self.max_active = max_active
        self.max_active_of = max_active_of
        self.on_limit: OnLimit = on_limit
        self.lease_ms = lease_ms
        self.wait_ms = wait_ms
        self._keeper = SlotKeeper(store, lease_ms=lease_ms, wake=_wake)
        #: The broker that does this guard's work.
        self._enforcing: Broker | None = None

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        rate = actor.options.get("rate")
        if rate is not None and not isinstance(rate, Rate):
            raise GuardError(
                f"{actor.actor_name}: rate must be like Rate(20, per='1m', burst=5), not {rate!r}"
            )
        _concurrency(actor.actor_name, actor.options.get("concurrency"))

    def after_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        if self._enforcing is broker and not delegate(broker, _start_rates([actor])):
            self._enforcing = None

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        may = self.on_limit == "park" and self.max_active_of is None
        rules: list[Rule] = [
            MaxActive(default=self.max_active),
            ConcurrencyKeys(),
            *_start_rates(broker.actors.values()),
        ]
        self._enforcing = broker if may and delegate(broker, rules) else None

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        _concurrency(message.actor_name, message.options.get("concurrency"))
        stamp_org(broker, message)
        org, rate = org_of(message), _rate(broker, message)
        if self.on_limit != "reject" or org is None or rate is None:
            return
        wait_ms, paid_until_ms = self.store.charge(org, message.actor_name, rate)
        if wait_ms > 0:
            emit_counter("org_limits_rejected_total", {"actor": message.actor_name})
            raise RateLimited(message.actor_name, wait_ms / 1_000)
        message.options[PAID_UNTIL] = paid_until_ms

    def admit(self, broker: Broker, message: MessageProxy) -> Slot | None:
        # What somebody sent without saying its org there is limited here.
        if self._enforcing is broker and message.options.get("org"):
            return None
        attempt = self._attempt(broker, message)
        if attempt is None:
            return None
        answer = self.store.acquire(attempt)
        if answer.outcome != "run":
            self._turn_away(message, attempt.org, answer)
        # The next attempt is another start; a crash leaves the message in the broker as it was, with its paid one.
        message.options.pop(PAID_UNTIL, None)
        slot = Slot(attempt, answer.paid_until_ms)
        self._keeper.hold(slot)
        return slot

    def settle(self, broker: Broker, message: MessageProxy, held: Slot, outcome: Outcome) -> None:
        refund = outcome.parked or outcome.skipped
        self._keeper.let_go(held)
        try:
            wakes = self.store.release(held, refund=refund, patience_ms=3 * self.wait_ms)
        except StoreUnavailable:
            self._keeper.release_later(broker, held, refund=refund, patience_ms=3 * self.wait_ms)
            raise
        _wake(broker, wakes)

    def _conclude(self, broker: Broker, message: MessageProxy, outcome: Outcome) -> None:
        super()._conclude(broker, message, outcome)
        # Charged when it was fetched, before any guard was asked: one further out may have turned it away.
        turned_away = outcome.parked or outcome.skipped
        if turned_away and self._enforcing is broker and isinstance(broker, SupportsRefund):
            broker.refund_start(message)

    def _attempt(self, broker: Broker, message: MessageProxy) -> Attempt | None:
        org = org_of(message)
        if org is None:
            return None
        rate = _rate(broker, message)
        concurrency = _concurrency(message.actor_name, option_of(broker, message, "concurrency"))
        of_org = self.max_active_of(org) if self.max_active_of else None
        max_active = self.max_active if of_org is None else of_org
        if rate is None and concurrency is None and max_active is None:
            return None
        return Attempt(
            org=org,
            actor_name=message.actor_name,
            message_id=message.message_id,
            token=uuid4().hex,
            copy=copy_of(message),
            lease_ms=self.lease_ms,
            max_active=max_active,
            concurrency=concurrency,
            rate=rate,
            paid_until_ms=float(message.options.get(PAID_UNTIL, 0)),
            message=message._message.encode(),
        )

    def _turn_away(self, message: MessageProxy, org: str, answer: Answer) -> NoReturn:
        if answer.outcome == "superseded":
            # The other copy is the message from now on, result included.
            keep_stored_result(message)
            emit_counter("org_limits_superseded_total", {"actor": message.actor_name})
            raise Skipped("another copy of it was woken and is the message now")
        if answer.paid_until_ms:
            message.options[PAID_UNTIL] = answer.paid_until_ms
        if answer.outcome == "rate":
            raise Parked("its org is over the actor's rate", delay_ms=_up(answer.wait_ms), key=f"rate:{org}")
        if answer.outcome == "running":
            raise Parked(
                "another delivery of it runs",
                delay_ms=_up(answer.wait_ms),
                key=f"running:{message.message_id}",
            )
        raise Parked("its org runs as much as it may", delay_ms=self.wait_ms, key=f"limit:{org}")


def _wake(broker: Broker, wakes: "list[Wake]") -> None:
    for wake in wakes:
        message: Message[Any] = Message.decode(wake.message)
        try:
            broker.enqueue(message.copy(options={WAKE: wake.copy}))
        except Exception as error:  # noqa: BLE001  # brokers raise their clients' errors
            # Nothing is lost: the message lies in the broker and comes by itself, while its slot waits.
            logger.warning("Waiting message %s was not woken: %s", message.message_id, type(error).__name__)
        else:
            emit_counter("org_limits_woken_total", {"actor": message.actor_name})


def _start_rates(actors: "Iterable[Actor[..., Any]]") -> list[StartRate]:
    """Those of actors that have none too: the release before may have had one."""
    rates = []
    for actor in actors:
        rate = actor.options.get("rate")
        interval_ms, tolerance_ms = (rate.interval_ms, rate.tolerance_ms) if rate else (0.0, 0.0)
        rates.append(StartRate(actor=actor.actor_name, interval_ms=interval_ms, tolerance_ms=tolerance_ms))
    return rates


def _rate(broker: Broker, message: "Message[Any] | MessageProxy") -> Rate | None:
    # A rate is an actor's alone: a message could not carry one.
    actor = broker.actors.get(message.actor_name)
    return actor.options.get("rate") if actor else None


def _concurrency(actor_name: str, given: object) -> Concurrency | None:
    if given is None:
        return None
    match given:
        case (str(key), int(limit)) if key and limit >= 1 and not isinstance(limit, bool):
            return Concurrency(key, limit)
    raise InvalidPayload(
        actor_name, [Fault("options.concurrency", "must be a key and a number, like ('site-7', 2)")]
    )


def _up(milliseconds: float) -> int:
    return max(1, int(-(-milliseconds // 1)))
