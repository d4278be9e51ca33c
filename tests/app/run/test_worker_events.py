"""What people are told of the supervisor's reports."""

import json

import pytest

from app.run.worker_events import in_words
from broker.supervisor.events import exit_facts


def said(event: str, **facts: object) -> str | None:
    """The sentence for a report of worker 71."""
    return in_words(json.dumps({"event": event, "supervisor_pid": 70, "slot": 0, "pid": 71, **facts}))


@pytest.mark.parametrize(
    ("code", "restart_in_s", "sentence"),
    [
        (-9, 1.0, "Worker 71 was ended by SIGKILL; another one starts in 1 s."),
        (79, 0.0, "Worker 71 held a job that could not be stopped, and ended; another one starts at once."),
        (3, 2.0, "Worker 71 could not reach Redis; another one starts in 2 s."),
        (42, 60.0, "Worker 71 ended with code 42; another one starts in 60 s."),
    ],
)
def test_a_death_is_reported_with_its_cause_and_what_comes_next(
    code: int, restart_in_s: float, sentence: str
) -> None:
    """Whoever reads it need not act."""
    assert said("worker_died", **exit_facts(code), ran_s=1.0, restart_in_s=restart_in_s) == sentence


def test_a_death_while_all_stop_promises_no_other() -> None:
    """None is started then."""
    assert said("worker_died", **exit_facts(1), ran_s=1.0) == "Worker 71 did not end cleanly."


def test_counts_are_for_machines() -> None:
    """A sentence for each of them would bury the others; an event that is not known yet is none either."""
    assert said("status", ready=1) is None
    assert said("something_new") is None


@pytest.mark.parametrize("row", ["what a job prints", "[1]", '{"level": "info"}', ""])
def test_what_is_no_report_is_shown_as_it_is(row: str) -> None:
    """It is what somebody wanted to be seen."""
    assert in_words(row) == row
