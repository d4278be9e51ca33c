"""Limits per org that the fair broker enforces for the guard: what may not run is not fetched."""

import threading

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware

from middleware import Guard, Parked
from middleware.org_limits.guard import OrgLimits
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.rate import Rate
from middleware.org_limits.slots import Answer, Attempt
from tests.broker.guards.conftest import MakeBroker
from tests.broker.guards.delegated import Site
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow


class NobodyAsks(MemoryOrgLimitsStore):
    """Counts what it is asked."""

    asked = 0

    def acquire(self, attempt: Attempt) -> Answer:
        self.asked += 1
        return super().acquire(attempt)


class Turnstile(Guard):
    """Parks each message once."""

    def admit(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if "parked" not in message.options:
            raise Parked("not now", delay_ms=1)


class Crowd:
    """A body that counts how many run at once, and lets them go when told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.go_on = threading.Event()
        self.now = self.most = 0

    def __call__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go_on.wait(20)
        with self._lock:
            self.now -= 1


def test_an_org_runs_no_more_than_it_may_and_the_store_is_not_asked(new_broker: MakeBroker) -> None:
    """Nothing of it is parked either; another org's jobs run meanwhile."""
    site = Site(new_broker(), OrgLimits(store := NobodyAsks(), max_active=2))
    crowd = Crowd()
    site.actor("flood", crowd)
    site.actor("other")
    for _ in range(8):
        site.broker.get_actor("flood").send_with_options(org="flood")
    site.broker.get_actor("other").send({"org_id": "other"})

    with site.working(threads=6):
        assert eventually(lambda: crowd.now == 2 and site.ran == ["other"])
        crowd.go_on.set()
        assert site.empty()

    assert crowd.most == 2
    assert site.watch.ends == ["succeeded"] * 9
    assert store.asked == 0


def test_messages_of_no_org_are_not_limited(new_broker: MakeBroker) -> None:
    """As the guard promises, whoever does its work."""
    site = Site(new_broker(), OrgLimits(NobodyAsks(), max_active=1))
    crowd = Crowd()
    actor = site.actor("job", crowd, rate=Rate(1, per="1h"))
    for _ in range(3):
        actor.send()

    with site.working():
        assert eventually(lambda: crowd.now == 3)
        crowd.go_on.set()
        assert site.empty()


def test_a_concurrency_key_holds_back_only_its_own(new_broker: MakeBroker) -> None:
    """Two of a key's three run; a message without the key is not behind them."""
    site = Site(new_broker(), OrgLimits(NobodyAsks()))
    crowd = Crowd()
    keyed, free = site.actor("keyed", crowd), site.actor("free")
    for _ in range(3):
        keyed.send_with_options(org="acme", concurrency=("site-7", 2))
    free.send_with_options(org="acme")

    with site.working():
        assert eventually(lambda: crowd.now == 2 and site.ran == ["free"])
        crowd.go_on.set()
        assert site.empty()

    assert crowd.most == 2


def test_what_is_over_the_rate_is_not_fetched(new_broker: MakeBroker) -> None:
    """Of three with a burst of two, one is left, and nothing was parked; another org has its own."""
    site = Site(new_broker(), OrgLimits(store := NobodyAsks()))
    actor = site.actor(rate=Rate(1, per="1h", burst=2))
    for org in ("acme", "other"):
        for _ in range(3):
            actor.send_with_options(org=org)

    with site.working():
        assert site.ended(4)
        assert site.leaves(2)

    assert site.watch.ends == ["succeeded"] * 4
    assert store.asked == 0


def test_a_rate_that_a_release_took_away_holds_nobody_back(new_broker: MakeBroker) -> None:
    """The worker that boots says so."""
    broker = new_broker()
    before = Site(broker, OrgLimits(NobodyAsks()))
    actor = before.actor(rate=Rate(1, per="1h"))
    actor.send_with_options(org="acme")
    with before.working():
        assert before.empty()

    after = Site(new_broker(namespace=broker.namespace), OrgLimits(NobodyAsks()))
    after.actor().send_with_options(org="acme")
    with after.working():
        assert after.empty()


@pytest.mark.parametrize("outside", [False, True], ids=["turned away behind it", "turned away before it"])
def test_an_attempt_that_did_not_run_costs_no_start(new_broker: MakeBroker, outside: bool) -> None:
    """Its start is given back with the park, and the next attempt has it: else it would wait for an hour."""
    guards: list[Middleware] = [OrgLimits(NobodyAsks()), Turnstile()]
    site = Site(new_broker(), *(guards[::-1] if outside else guards))
    site.actor(rate=Rate(1, per="1h")).send_with_options(org="acme")

    with site.working():
        assert site.empty()

    assert site.watch.ends == ["parked", "succeeded"]
