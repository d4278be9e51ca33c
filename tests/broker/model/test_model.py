"""Any client may do anything at any time, and any answer may get lost: the invariants of the broker hold.

`MODEL_EXAMPLES=2000 MODEL_STEPS=100` (or `make model`) looks longer. What fails is printed with what repeats it.
"""

import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.broker.model.machine import Machine

#: Enough to find what is broken often; `make model` finds what is rare.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "40"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))
LONG = EXAMPLES > 100

pytestmark = pytest.mark.slow


def test_nothing_that_clients_do_breaks_an_invariant(
    quiet_server: "redis.Redis",
) -> None:
    """After each call every message is in exactly one place, and whatever waits will be let in by something."""
    run_state_machine_as_test(
        lambda: Machine(quiet_server),  # type: ignore[arg-type]  # what makes one will do
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            # To make an example small takes minutes: only where somebody looks for what is rare.
            phases=set(Phase) if LONG else {Phase.explicit, Phase.reuse, Phase.generate},
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
