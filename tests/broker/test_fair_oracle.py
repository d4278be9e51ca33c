"""Whatever comes in whatever order: no org that waits falls behind the ideal by more than what is proven.

The ideal is generalised processor sharing by what jobs really take, among those who may run; the bound stands in
`docs/broker.md`. `MODEL_EXAMPLES=2000` (or `make model`) looks longer.
"""

import os
from collections.abc import Callable
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.broker.fair_run import FairRun
from tests.broker.model.conftest import quiet_server

__all__ = ["quiet_server"]

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "40"))
LONG = EXAMPLES > 100

WEIGHTS = {"heavy": 4.0, "double": 2.0, "light": 0.25}
REGULARS = (*WEIGHTS, "a", "b", "c")
#: They differ a thousandfold.
COSTS = st.sampled_from([1.0, 10.0, 10.0, 40.0, 1_000.0])

Step = Callable[[FairRun], None]


def _newcomers(number: int, takes_ms: float) -> Step:
    def step(run: FairRun) -> None:
        for _ in range(number):
            run.send(f"new{len(run.jobs):05d}", 1, takes_ms)

    return step


def _stream(number: int, takes_ms: float) -> Step:
    """As many come as end, one after the other."""

    def step(run: FairRun) -> None:
        for _ in range(number):
            run.send(f"new{len(run.jobs):05d}", 1, takes_ms)
            run.end_next()

    return step


def _ends(number: int) -> Step:
    def step(run: FairRun) -> None:
        for _ in range(number):
            run.end_next()

    return step


sends: st.SearchStrategy[Step] = st.one_of(
    st.builds(_newcomers, st.integers(1, 4), COSTS),
    st.builds(_stream, st.integers(5, 25), COSTS),
    st.builds(
        lambda org, number, takes_ms: lambda run: run.send(org, number, takes_ms),
        st.sampled_from(REGULARS),
        st.sampled_from([1, 1, 2, 12]),
        COSTS,
    ),
)
ends: st.SearchStrategy[Step] = st.builds(_ends, st.integers(1, 6))
changes: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda org, number: lambda run: run.limit(org, number),
        st.sampled_from(REGULARS),
        st.sampled_from([0, 1, 2]),
    ),
    st.builds(
        lambda orgs: lambda run: run.pause(*orgs),
        st.lists(st.sampled_from(REGULARS), max_size=2, unique=True),
    ),
    st.just(lambda run: run.give_back()),
    st.builds(lambda number: lambda run: run.stop(number), st.integers(0, 2)),
)
#: What comes, and what ends meanwhile.
loads = st.lists(st.one_of(sends, ends), min_size=10, max_size=40)
anything = st.lists(st.one_of(sends, sends, ends, ends, changes), min_size=10, max_size=40)
fleets = st.sampled_from([(1,), (2,), (3,), (1, 2), (2, 2, 1)])

quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=set(Phase) if LONG else {Phase.explicit, Phase.reuse, Phase.generate},
    suppress_health_check=list(HealthCheck),
)


def _base() -> str:
    return f"{uuid4().hex}:{{0}}"


def _play(run: FairRun, steps: list[Step]) -> None:
    for step in steps:
        step(run)
        run.check()
    run.pause()
    run.run_all()
    for key in run.shard.client.scan_iter(f"{run.shard.base}:*"):
        run.shard.client.delete(key)


@quickly
@given(steps=loads, threads=fleets, ahead=st.integers(0, 2))
def test_no_org_falls_behind_the_ideal(
    quiet_server: "redis.Redis", steps: list[Step], threads: tuple[int, ...], ahead: int
) -> None:
    """Where it is known what jobs take: by the mean longest job of all who compete, and what is in flight."""
    _play(FairRun(quiet_server, _base(), threads=threads, weights=WEIGHTS, ahead=ahead), steps)


@quickly
@given(steps=anything, threads=fleets, ahead=st.integers(0, 2), exact=st.booleans())
def test_nor_does_it_when_estimates_are_wrong_and_orgs_are_held_back(
    quiet_server: "redis.Redis", steps: list[Step], threads: tuple[int, ...], ahead: int, exact: bool
) -> None:
    """By no more than that and the errors of what others had running; limits, pauses, returns and stops as well."""
    run = FairRun(quiet_server, _base(), threads=threads, weights=WEIGHTS, ahead=ahead, exact=exact)
    _play(run, steps)


@quickly
@given(steps=loads, threads=fleets, exact=st.booleans())
def test_no_job_waits_longer_than_the_share_for_age_lets_it(
    quiet_server: "redis.Redis", steps: list[Step], threads: tuple[int, ...], exact: bool
) -> None:
    """Ten times what first in, first out would have made of it, and as many times the longest job."""
    run = FairRun(quiet_server, _base(), threads=threads, weights=WEIGHTS, age_share=0.1, exact=exact)
    _play(run, steps)
    run.check_waits()


@quickly
@given(numbers=st.lists(st.integers(0, 3), min_size=10, max_size=60), takes_ms=COSTS)
def test_newcomers_run_in_the_order_of_their_coming(
    quiet_server: "redis.Redis", numbers: list[int], takes_ms: float
) -> None:
    """Beside an org that sends more than its share."""
    run = FairRun(quiet_server, _base(), threads=(2,))
    for number in numbers:
        run.send("a", 1, takes_ms)
        _newcomers(number, takes_ms)(run)
        run.end_next()
        run.end_next()
    run.run_all()

    new = [job.org for job in run.order if job.org.startswith("new")]
    assert new == sorted(new)


def test_an_org_that_waits_is_not_behind_the_ideal_while_others_keep_coming(
    quiet_server: "redis.Redis",
) -> None:
    """Five orgs with one job each come for every four jobs that end, and one was there before with many."""
    run = FairRun(quiet_server, _base())
    _newcomers(4, 50.0)(run)
    run.send("patient", 20, 50.0)
    for number in range(200):
        _newcomers(2 if number % 4 == 0 else 1, 50.0)(run)
        run.end_next()
