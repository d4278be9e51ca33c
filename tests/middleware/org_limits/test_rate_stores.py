"""What every store of limits per org promises of rates."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.embedded import Servers
from middleware.org_limits.rate import Rate
from tests.middleware.org_limits.store_under_test import (
    HOUR_MS,
    HOURLY,
    STORES,
    Kept,
    attempt,
    kept_in,
)


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Kept]:
    """Every store there is."""
    with kept_in(request.param, servers.redis_url) as made:
        yield made


def test_a_rate_lets_the_burst_through_and_spaces_the_rest(kept: Kept) -> None:
    """Five at once, then one each interval, each told the moment that is reserved for it."""
    rate = Rate(20, per="1h", burst=5)
    answers = [kept.acquire(attempt(f"m{n}", rate=rate, max_active=None)) for n in range(8)]

    assert [each.outcome for each in answers] == ["run"] * 5 + ["rate"] * 3
    waits = [each.wait_ms for each in answers[5:]]
    assert waits == pytest.approx([rate.interval_ms, 2 * rate.interval_ms, 3 * rate.interval_ms], abs=5_000)


def test_a_reserved_start_is_not_charged_again(kept: Kept) -> None:
    """Who comes back at its moment runs, and those behind it have lost nothing."""
    kept.run(attempt("a", rate=HOURLY))
    deferred = kept.acquire(attempt("b", rate=HOURLY))
    behind = kept.acquire(attempt("c", rate=HOURLY))

    kept.pass_ms(HOUR_MS)
    kept.run(attempt("b", rate=HOURLY, paid_until_ms=deferred.paid_until_ms - kept.aged_ms()))

    later = kept.acquire(attempt("d", rate=HOURLY))
    assert behind.wait_ms == pytest.approx(2 * HOUR_MS, abs=5_000)
    assert later.wait_ms == pytest.approx(2 * HOUR_MS, abs=5_000)


def test_a_start_that_did_not_happen_is_given_back(kept: Kept) -> None:
    """After a refund the next may start at once; without one it may not."""
    slot = kept.run(attempt("a", rate=HOURLY))
    kept.release(slot)
    assert kept.acquire(attempt("b", rate=HOURLY)).outcome == "rate"

    slot = kept.run(attempt("a", org="other", rate=HOURLY))
    kept.release(slot, refund=True)
    kept.run(attempt("b", org="other", rate=HOURLY))


def test_what_has_flowed_off_cannot_be_given_back(kept: Kept) -> None:
    """A refund that comes late does not let the org start more than its rate allows by then."""
    slot = kept.run(attempt("a", rate=HOURLY))
    kept.pass_ms(HOUR_MS)
    kept.run(attempt("b", rate=HOURLY))

    kept.release(slot, refund=True)

    assert kept.acquire(attempt("c", rate=HOURLY)).wait_ms == pytest.approx(HOUR_MS, abs=5_000)


def test_a_rate_is_lost_when_nothing_is_owed(kept: Kept) -> None:
    """A quiet while gives back the whole burst, and not more."""
    rate = Rate(60, per="1h", burst=2)
    for name in ("a", "b"):
        kept.run(attempt(name, rate=rate))

    kept.pass_ms(10 * HOUR_MS)

    outcomes = [kept.acquire(attempt(f"n{n}", rate=rate, max_active=None)).outcome for n in range(3)]
    assert outcomes == ["run", "run", "rate"]


def test_a_charge_at_send_takes_a_start_or_nothing(kept: Kept) -> None:
    """Who may not start yet is told for how long, and pushes nobody back by asking."""
    wait_ms, paid_until_ms = kept.store.charge("acme", "crawl", HOURLY)
    assert wait_ms == 0
    assert paid_until_ms > 0

    refusals = [kept.store.charge("acme", "crawl", HOURLY) for _ in range(3)]

    assert [paid for _, paid in refusals] == [0, 0, 0]
    assert [wait for wait, _ in refusals] == pytest.approx([HOUR_MS] * 3, abs=5_000)
    kept.run(attempt("a", rate=HOURLY, paid_until_ms=paid_until_ms))


def test_of_many_at_once_a_rate_lets_its_burst_through(kept: Kept) -> None:
    """Sixteen threads ask at the same moment, and exactly the burst gets through."""
    together = threading.Barrier(16)

    def acquire(number: int) -> str:
        together.wait()
        rate = Rate(1, per="1h", burst=3)
        return kept.acquire(attempt(f"m{number}", rate=rate, max_active=None)).outcome

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(acquire, range(16))) == ["rate"] * 13 + ["run"] * 3
