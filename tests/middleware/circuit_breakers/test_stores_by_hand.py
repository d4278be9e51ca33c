"""What every store promises of a state that is set by hand, in memory and on a real server."""

from typing import cast

import pytest

from middleware.circuit_breakers.state import State
from tests.middleware.circuit_breakers.store_stages import RULE, Stage, fail, half_open, take_trials


@pytest.mark.parametrize(("to", "failures"), [("closed", 0), ("open", 1), ("half-open", 1)])
def test_a_state_set_by_hand_is_one_it_goes_on_from(stage: Stage, to: State, failures: int) -> None:
    """Closed, its failures are forgotten; open, it is tried after its time; half-open, trials are made at once."""
    fail(stage.store, 1)

    change = stage.store.set_state("ai", to, reason="by hand", rule=RULE)

    after = change.after
    assert (change.before, after.state, after.failures, after.forced) == ("closed", to, failures, None)
    assert (after.reason, after.wait_ms) == ("by hand", 10_000 if to == "open" else 0)
    stage.pass_s(11 if to == "open" else 0)
    for number, closes in enumerate(("half-open", "closed")):
        permit = stage.store.take_trial("ai", f"token {number}", RULE)
        assert permit.granted
        assert permit.first == (to == "open" and number == 0)
        after = stage.store.record("ai", "success", RULE, token=f"token {number}").after
        assert after.state == ("closed" if to == "closed" else closes)


@pytest.mark.parametrize("forced", ["open", "closed"])
def test_what_is_forced_is_not_set_by_hand(stage: Stage, forced: State) -> None:
    """An operator's word is lifted by an operator."""
    stage.store.force("ai", forced, reason="because", who="ada", rule=RULE)
    reading = stage.store.read(None)
    assert reading is not None

    for to in cast("tuple[State, ...]", ("closed", "open", "half-open")):
        change = stage.store.set_state("ai", to, reason="by hand", rule=RULE)
        assert (change.before, change.after.state, change.after.who) == (forced, forced, "ada")

    assert stage.store.read(reading.version) is None


def test_a_state_set_by_hand_voids_the_trials_that_are_being_made(stage: Stage) -> None:
    """They were of another half-open."""
    store = half_open(stage)
    take_trials(store, 2)
    store.set_state("ai", "half-open", reason="by hand", rule=RULE)

    assert store.record("ai", "failure", RULE, token="token 0").after.state == "half-open"
    assert store.take_trial("ai", "another", RULE).granted
