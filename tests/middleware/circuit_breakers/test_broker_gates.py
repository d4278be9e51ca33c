"""Open circuits on a broker that has gates: jobs that depend on what is down are not fetched until it may be tried."""

from collections.abc import Mapping
from contextlib import suppress

import dramatiq
import pytest
from dramatiq.broker import MessageProxy

from middleware import Parked, StoreUnavailable
from middleware.base.poller import Poller
from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.state import BreakerRule
from tests.middleware.brokers import replace_stack
from tests.middleware.circuit_breakers.breaker_helpers import RULE, Clock, fail, make, succeed
from tests.middleware.delegating_broker import NOW_MS, EnforcingBroker

PER_ORG = BreakerRule(failures=2, open_s=30, per_org=True)
OPEN_UNTIL_MS = NOW_MS + 30_000


class Fleet:
    """A broker with gates, and processes that share the circuits."""

    def __init__(self, *depends_on: object) -> None:
        self.clock = Clock()
        self.store = MemoryCircuitBreakerStore(now_ms=self.clock.now_ms)
        self.broker = EnforcingBroker()
        self.guard = self.process()
        replace_stack(self.broker, self.guard)
        for number, names in enumerate(depends_on):
            dramatiq.actor(broker=self.broker, actor_name=f"actor{number}", depends_on=names)(print)
        self.boot(self.guard)

    def process(self) -> CircuitBreakers:
        """Another process's breakers."""
        rules = {"mail": PER_ORG}
        return make(self.store, self.clock, rules=rules, flags=Poller(interval_s=3_600))

    def boot(self, process: CircuitBreakers) -> None:
        process.before_worker_boot(self.broker, dramatiq.Worker(self.broker))

    def a_second_later(self) -> Mapping[str, tuple[int, str]]:
        """What is shut after the next poll."""
        self.clock.pass_s(1)
        self.guard.refresh()
        return self.broker.gates["breakers"]


def test_the_actors_that_depend_on_it_wait_until_it_may_be_tried() -> None:
    """Those that do not are left alone; the end is by the broker's clock, whatever the circuit's says."""
    fleet = Fleet("ai", ["search", "ai"], "search", None)

    fail(fleet.guard, 2)

    assert fleet.a_second_later() == {
        "a:actor0": (OPEN_UNTIL_MS - 1_000, "ai is down"),
        "a:actor1": (OPEN_UNTIL_MS - 1_000, "ai is down"),
    }


def test_the_broker_is_called_once_an_opening() -> None:
    """Not once a second, and again when a trial has failed."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    for _ in range(5):
        fleet.a_second_later()
    assert [bool(gates) for _, gates in fleet.broker.reported] == [False, True]

    fleet.clock.pass_s(30)
    fleet.guard.refresh()
    fail(fleet.guard, 1)
    fleet.guard.refresh()

    assert [bool(gates) for _, gates in fleet.broker.reported] == [False, True, False, True]


def test_a_job_that_finds_it_open_shuts_it_at_once() -> None:
    """The next thousand that wait for the same are not fetched to find it out, and a second is long."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    message = fleet.broker.get_actor("actor0").message()

    with pytest.raises(Parked, match="ai is down"):
        fleet.guard.admit(fleet.broker, MessageProxy(message))

    assert set(fleet.broker.gates["breakers"]) == {"a:actor0"}


def test_a_job_is_parked_though_the_broker_does_not_answer() -> None:
    """Shutting gates helps; it decides nothing."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    fleet.broker.is_away = True
    message = fleet.broker.get_actor("actor0").message()

    with pytest.raises(Parked, match="ai is down"):
        fleet.guard.admit(fleet.broker, MessageProxy(message))


@pytest.mark.parametrize("how", ["reset", "force_closed"])
def test_an_operators_word_opens_it_and_lets_go_what_was_parked(how: str) -> None:
    """Said in another process, it is heard within a second, before the circuit's own time is over."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    assert fleet.a_second_later()

    getattr(fleet.process(), how)("ai", "their status page is green")

    assert fleet.a_second_later() == {}
    assert fleet.broker.released == ["breaker:ai"]
    # What was on its way to be parked then is let go by the next poll.
    for _ in range(3):
        fleet.a_second_later()
    assert fleet.broker.released == ["breaker:ai"] * 2


def test_what_comes_due_by_itself_is_not_let_go_early() -> None:
    """Its time is the circuit's: it would come in a crowd, for three trials."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    fleet.a_second_later()
    fleet.clock.pass_s(30)
    assert fleet.a_second_later() == {}

    for _ in range(3):
        succeed(fleet.guard)
    fleet.a_second_later()

    assert fleet.broker.released == []


def test_an_operators_opening_has_no_end() -> None:
    """Forcing the first part of a key holds for all that begin with it."""
    fleet = Fleet("publish:wordpress")
    fleet.guard.force_open("publish", "moving house")

    assert fleet.a_second_later() == {"a:actor0": (0, "publish is down")}


def test_an_orgs_own_circuit_shuts_only_its_messages() -> None:
    """The others' are fetched as ever; a circuit that somebody forces for all shuts all."""
    fleet = Fleet("mail")
    for _ in range(2):
        with suppress(ConnectionError), fleet.guard.calling("mail", org="acme"):
            raise ConnectionError
    assert set(fleet.a_second_later()) == {"x:acme:actor0"}

    fleet.guard.force_open("mail", "spam")
    assert set(fleet.a_second_later()) >= {"a:actor0"}


def test_a_process_that_starts_later_says_the_same() -> None:
    """And removes what nobody was left to open."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    before = fleet.a_second_later()
    fleet.boot(later := fleet.process())
    assert fleet.broker.gates["breakers"] == before

    later.reset("ai", "fine again")
    fleet.boot(fleet.process())
    assert fleet.broker.gates["breakers"] == {}


def test_with_the_store_gone_the_gates_stay_as_they_are() -> None:
    """They have an end; opening them would let everything through to be parked."""
    fleet = Fleet("ai")
    fail(fleet.guard, 2)
    before = dict(fleet.a_second_later())

    class Away:
        def read(self, known_version: str | None) -> None:
            raise StoreUnavailable

    away = make(Away(), fleet.clock, flags=Poller(interval_s=3_600))
    fleet.boot(away)
    with pytest.raises(StoreUnavailable):
        away.refresh()

    assert fleet.broker.gates["breakers"] == before


def test_nothing_is_read_for_actors_that_depend_on_nothing() -> None:
    """A stack without dependencies costs its store no poll."""
    fleet = Fleet(None)
    reads = []

    class Reading(MemoryCircuitBreakerStore):
        def read(self, known_version: str | None) -> None:
            reads.append(known_version)

    quiet = CircuitBreakers(Reading(), rule=RULE, flags=Poller(interval_s=3_600))
    fleet.boot(quiet)
    quiet.refresh()

    assert reads == []
