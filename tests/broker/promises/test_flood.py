"""A thousand jobs of one org, sent before the single job of another, do not stand before it."""

import dramatiq

from tests.broker.promises.scenario import Stage
from tests.broker.workers import run_all

FLOOD = 1_000


def test_vanilla_runs_it_last(vanilla: Stage) -> None:
    """It is first in, first out: a thousand dispatches come before it."""
    assert _dispatches_before_the_quiet_one(vanilla) == FLOOD


def test_ours_runs_it_among_the_first(ours: Stage) -> None:
    """Orgs take turns: one dispatch comes before it, at most."""
    assert _dispatches_before_the_quiet_one(ours) <= 1


def _dispatches_before_the_quiet_one(stage: Stage) -> int:
    broker = stage.broker()
    order: list[str] = []
    actor = dramatiq.actor(broker=broker, actor_name="note")(order.append)
    for _ in range(FLOOD):
        actor.send_with_options(args=("flood",), org="flood")
    actor.send_with_options(args=("quiet",), org="quiet")
    run_all(broker)
    return order.index("quiet")
