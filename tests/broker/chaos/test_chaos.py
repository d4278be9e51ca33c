"""A small storm; the full one is `make chaos`."""

import pytest

from tests.broker.chaos.plan import Plan
from tests.broker.chaos.run import weather
from tests.folders import open_folder

pytestmark = pytest.mark.slow


#: As operators start workers; and a smaller one, as the full storm starts them.
PLANS = [
    Plan(
        jobs=600,
        producers=2,
        workers=2,
        restarts=1,
        kill_every=150,
        poison_every=200,
        poison_burst=1,
        failovers=1,
        clock_steps=0,
        full_servers=1,
        hostile_every=300,
        forked=False,
    ),
    Plan(
        jobs=1_000,
        producers=2,
        workers=2,
        restarts=1,
        kill_every=100,
        poison_burst=1,
        failovers=1,
        clock_steps=2,
        full_servers=1,
        hostile_every=500,
    ),
]


@pytest.mark.parametrize("plan", PLANS, ids=["programs", "forks"])
def test_a_small_storm_loses_nothing(plan: Plan) -> None:
    """Every job has its effect once, nobody but the poison is quarantined, and nothing is left over."""
    with open_folder() as folder:
        verdict = weather(plan, folder, print)
        log = (folder / "workers.log").read_text(errors="replace")

    assert verdict.wrong == [], f"{verdict.figures}\n{log[-4_000:]}"
