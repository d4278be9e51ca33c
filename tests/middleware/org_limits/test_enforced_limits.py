"""Limits per org on a broker that enforces them where messages are fetched."""

from typing import Any

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from middleware import Guard, Parked, Retries, Skipped
from middleware.base.delegation import StartRate
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate
from middleware.org_limits.slots import Answer, Attempt
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.delegating_broker import EnforcingBroker
from tests.middleware.org_limits.limited_jobs import working

QUEUE = "limited"


class CountingStore(MemoryOrgLimitsStore):
    """Counts the attempts it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def acquire(self, attempt: Attempt) -> Answer:
        self.asked += 1
        return super().acquire(attempt)

    def charge(self, org: str, actor_name: str, rate: Rate) -> tuple[float, float]:
        self.asked += 1
        return super().charge(org, actor_name, rate)


class Turnstile(Guard):
    """Turns a message away once, as it says."""

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if message.options.get("skip_it"):
            raise Skipped("no need")
        if message.options.get("park_it") and "parked" not in message.options:
            raise Parked("not now", delay_ms=1)


def job_of(broker: dramatiq.Broker, name: str = "job", **options: Any) -> "dramatiq.Actor[..., None]":
    """An actor that does nothing."""

    def fn(*payload: object) -> None: ...

    return dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=name, **options)(fn)


def test_the_store_is_not_asked_for_what_the_broker_enforces() -> None:
    """The org's number, the concurrency keys and every actor's rate are handed over, once, when the worker boots."""
    broker, store = EnforcingBroker(), CountingStore()
    replace_stack(broker, OrgLimits(store, max_active=7), Retries(max_retries=0))
    job = job_of(broker, rate=Rate(20, per="1m", burst=5))
    job_of(broker, "free")
    job.send_with_options(org="acme", concurrency=("site-7", 1))

    work(broker, QUEUE)

    assert broker.kinds() == ["max_active", "concurrency", "rate", "rate"]
    assert broker.rules[0].default == 7
    assert broker.rules[2] == StartRate(actor="job", interval_ms=3_000.0, tolerance_ms=12_000.0)
    # An earlier release may have given it one.
    assert broker.rules[3] == StartRate(actor="free", interval_ms=0.0, tolerance_ms=0.0)
    assert store.asked == 0
    assert broker.refunded == []


@pytest.mark.parametrize(
    ("options", "refuses"),
    [
        ({"on_limit": "reject"}, ()),
        ({"max_active_of": lambda org: 3}, ()),
        ({}, ("max_active",)),
        ({}, ("rate",)),
    ],
    ids=["reject", "numbers of its own", "slots refused", "rates refused"],
)
def test_what_the_broker_does_not_do_the_guard_does(
    options: dict[str, Any], refuses: tuple[str, ...]
) -> None:
    """With an option that only it knows, or when the broker declines a part, the store is asked as anywhere."""
    broker, store = EnforcingBroker(refuses=refuses), CountingStore()
    replace_stack(broker, OrgLimits(store, **options), Retries(max_retries=0))
    job_of(broker, rate=Rate(20, per="1m")).send_with_options(org="acme")

    work(broker, QUEUE)

    assert store.asked >= 1
    assert broker.refunded == []
    assert refuses or broker.rules == []


def test_a_broker_that_is_away_at_boot_leaves_it_to_the_guard() -> None:
    """The worker starts, and the limits hold."""
    broker, store = EnforcingBroker(), CountingStore()
    replace_stack(broker, OrgLimits(store), Retries(max_retries=0))
    job_of(broker).send_with_options(org="acme")
    broker.is_away = True

    work(broker, QUEUE)

    assert store.asked == 1


@pytest.mark.parametrize(("refuses", "asked"), [((), 0), (("rate",), 1)], ids=["accepted", "refused"])
def test_the_rate_of_an_actor_that_comes_later_is_handed_over_too(
    refuses: tuple[str, ...], asked: int
) -> None:
    """Also when a worker runs already; if the broker declines it, the guard takes its work back."""
    broker, store = EnforcingBroker(), CountingStore()
    replace_stack(broker, OrgLimits(store), Retries(max_retries=0))
    job_of(broker)

    with working(broker):
        broker.refuses = refuses
        job_of(broker, "late", rate=Rate(1, per="1s")).send_with_options(org="acme")
        broker.join(QUEUE, timeout=10_000)

    assert broker.rules[-1] == StartRate(actor="late", interval_ms=1_000.0, tolerance_ms=0.0)
    assert store.asked == asked


@pytest.mark.parametrize("fate", ["park_it", "skip_it"])
@pytest.mark.parametrize("first", ["limits", "turnstile"])
def test_an_attempt_that_did_not_run_is_not_charged(fate: str, first: str) -> None:
    """Whichever guard turned it away, before or after this one: the broker is told, and once for each attempt."""
    broker = EnforcingBroker()
    guards: list[Middleware] = [OrgLimits(CountingStore()), Turnstile()]
    replace_stack(broker, *(guards if first == "limits" else guards[::-1]), Retries(max_retries=0))
    options: dict[str, Any] = {"org": "acme", fate: True}
    sent = job_of(broker).send_with_options(**options)

    work(broker, QUEUE)

    assert broker.refunded == [sent.message_id]


def test_the_broker_learns_whose_a_message_is() -> None:
    """From the payload, where no option says so; brokers look at options only."""
    broker = EnforcingBroker()
    replace_stack(broker, OrgLimits(CountingStore()), Retries(max_retries=0))
    job_of(broker).send({"org_id": "acme"})

    (message,) = stored(broker, QUEUE)
    assert message.options["org"] == "acme"


def test_a_message_that_says_its_org_in_its_payload_only_is_limited_by_us() -> None:
    """One from another release's sender, for example: the broker took it for nobody's."""
    broker, store = EnforcingBroker(), CountingStore()
    replace_stack(broker, OrgLimits(store), Retries(max_retries=0))
    message = job_of(broker).message({"org_id": "acme"})
    message.options["admitted"] = True
    broker.enqueue(message)

    work(broker, QUEUE)

    assert store.asked == 1
