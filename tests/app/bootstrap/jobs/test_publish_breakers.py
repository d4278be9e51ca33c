"""Remote services behind breakers: one circuit a host, opened by what the host does wrong and by nothing else."""

from uuid import UUID

import pytest

from adapters.net.replies import PassingRefusal
from app.bootstrap.jobs.publish_execution import BehindBreakers, breaker_key, target_key
from domain.errors import AuthFailed, DatabaseUnavailable, InvalidReply, LeaseLost, ProviderUnavailable
from domain.publishing import AdapterName, Found, Journal, Post, Publisher, PublishTarget, RetryOptions
from middleware import BreakerRule, CircuitBreakers, Parked
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from middleware.circuit_breakers.state import check_key

POST = Post(key="rye-1", title="Rye", body="Text.")


class Far:
    """A remote service that ends every call with an error, if it is given one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        return self

    def find(self, post: Post, journal: Journal) -> Found | None:
        return self._call()

    def publish(self, post: Post, journal: Journal) -> Found:
        return self._call()

    def _call(self) -> Found:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Found(external_id="7", url=None, is_public=True)


class NoJournal:
    """Nobody writes anything down."""

    draft_id = None

    def hold(self) -> float:
        return 1.0

    def remember(self, draft_id: str) -> None: ...

    def disown(self, draft_id: str) -> bool:
        return False


@pytest.fixture
def breakers() -> CircuitBreakers:
    """Two failures open a circuit."""
    return CircuitBreakers(MemoryCircuitBreakerStore(), rule=BreakerRule(failures=2))


def target(
    address: str = "https://site.example", adapter: AdapterName = "wordpress", number: int = 1
) -> PublishTarget:
    """A target there."""
    return PublishTarget(target_id=UUID(int=number), adapter=adapter, address=address, credentials=b"")


def behind(
    breakers: CircuitBreakers, far: Far, address: str = "https://site.example", number: int = 1
) -> Publisher:
    """The remote service as the saga sees it."""
    return BehindBreakers(far, breakers)(target(address, number=number), RetryOptions())


def test_a_host_that_is_down_is_left_untouched_and_others_are_not(breakers: CircuitBreakers) -> None:
    """Both ways of calling count, and both are refused; another host is none the worse."""
    down, well = Far(ProviderUnavailable("down")), Far()
    with pytest.raises(ProviderUnavailable):
        behind(breakers, down).find(POST, NoJournal())
    with pytest.raises(ProviderUnavailable):
        behind(breakers, down).publish(POST, NoJournal())

    for call in (Publisher.find, Publisher.publish):
        with pytest.raises(Parked, match="publish is down"):
            getattr(behind(breakers, down), call.__name__)(POST, NoJournal())

    assert down.calls == 2
    assert behind(breakers, well, "https://other.example").publish(POST, NoJournal()).external_id == "7"


def test_a_target_that_asks_for_time_holds_back_itself(breakers: CircuitBreakers) -> None:
    """However often it answers 503: others on its host, a folder away, are published to at once."""
    busy, well = Far(PassingRefusal("an update", status=503, retry_after_s=60.0)), Far()
    for _ in range(3):
        with pytest.raises((ProviderUnavailable, Parked)):
            behind(breakers, busy).publish(POST, NoJournal())

    with pytest.raises(Parked):
        behind(breakers, busy).publish(POST, NoJournal())
    assert busy.calls == 1
    assert behind(breakers, well, number=2).publish(POST, NoJournal()).external_id == "7"


def test_a_rate_limit_is_its_hosts(breakers: CircuitBreakers) -> None:
    """429 holds for all that is published there."""
    with pytest.raises(ProviderUnavailable):
        behind(breakers, Far(PassingRefusal("many", status=429, retry_after_s=60.0))).publish(
            POST, NoJournal()
        )
    with pytest.raises(Parked):
        behind(breakers, Far(), number=2).publish(POST, NoJournal())


def test_what_is_forced_on_a_host_holds_for_its_targets(breakers: CircuitBreakers) -> None:
    """A target's circuit is below its host's."""
    assert target_key(target()) == check_key(target_key(target()))
    assert target_key(target()).startswith(f"{breaker_key(target())}:")
    assert target_key(target()) != target_key(target(number=2))
    breakers.force_open(breaker_key(target()), "moving")
    with pytest.raises(Parked):
        behind(breakers, Far()).publish(POST, NoJournal())


@pytest.mark.parametrize(
    "error",
    [
        LeaseLost("taken over"),
        DatabaseUnavailable("away"),
        AuthFailed("refused"),
        InvalidReply("nonsense"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing_of_the_host_is_not_counted(
    breakers: CircuitBreakers, error: BaseException
) -> None:
    """It passes as it is, neither as a failure nor as a success that would forget failures."""
    far = Far(ProviderUnavailable("down"))
    publisher = behind(breakers, far)
    with pytest.raises(ProviderUnavailable):
        publisher.publish(POST, NoJournal())

    far.error = error
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            publisher.publish(POST, NoJournal())
        assert caught.value is error
    assert breakers.state("publish:wordpress:site.example").failures == 1


def test_an_error_nobody_foresaw_counts(breakers: CircuitBreakers) -> None:
    """Better a circuit too many than a crowd at a broken site."""
    publisher = behind(breakers, Far(ZeroDivisionError()))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            publisher.publish(POST, NoJournal())
    assert breakers.state("publish:wordpress:site.example").state == "open"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("https://Site.Example./blog?x=1", "publish:wordpress:site.example"),
        ("https://user:secret@site.example:8443/", "publish:wordpress:site.example:8443"),
        ("https://[2001:DB8::1]:8080/", "publish:wordpress:[2001-db8--1]:8080"),
        ("https://[fe80::1%25eth0]/", "publish:wordpress:[fe80--1-25eth0]"),
        ("https://bücher.example", "publish:wordpress:b-cher.example"),
        ("https://a b:c", "publish:wordpress:unknown"),
        ("not an address", "publish:wordpress:unknown"),
    ],
)
def test_every_address_has_a_circuit(address: str, key: str) -> None:
    """Of its host and port, and nothing else of it; a key that the breakers take."""
    assert breaker_key(target(address)) == check_key(key)


def test_kinds_of_far_sides_have_circuits_of_their_own() -> None:
    """A blog that is down says little of the webhook beside it."""
    assert breaker_key(target(adapter="webhook")) == "publish:webhook:site.example"
