"""Waits of a worker's threads: over when they are woken, or when their time is."""

import ast
import threading
import time
from pathlib import Path

import pytest

from broker.leasing.wakeup import Wakeup
from tests.middleware.eventually import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]

#: Waits so short that their time ends just as they get what they wait on.
WAITS = 50_000


@pytest.mark.slow
def test_no_wait_outlasts_its_time() -> None:
    """Not even one that is over as it begins."""
    wakeup = Wakeup()

    def wait() -> None:
        for _ in range(WAITS):
            wakeup.wait(1e-6)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(PATIENCE_S)

    assert not waiting.is_alive()


def test_a_wait_ends_when_it_is_woken() -> None:
    """By another thread, or because that was before."""
    wakeup, found = Wakeup(), list[bool]()
    waiting = threading.Thread(target=lambda: found.append(wakeup.wait(PATIENCE_S)))
    waiting.start()
    wakeup.set()
    waiting.join(PATIENCE_S)
    wakeup.set()

    assert [*found, wakeup.wait(PATIENCE_S)] == [True, True]


def test_any_number_of_wake_ups_end_one_wait() -> None:
    """They do not add up while nobody waits."""
    wakeup = Wakeup()
    for _ in range(3):
        wakeup.set()

    assert [wakeup.wait(0.0), wakeup.wait(-1.0), wakeup.wait(0.001)] == [True, False, False]


def test_a_wait_takes_its_time() -> None:
    """Where nobody ends it."""
    began_s = time.monotonic()

    assert not Wakeup().wait(0.05)
    assert time.monotonic() - began_s >= 0.05


@pytest.mark.parametrize("folder", ["actors", "adapters", "app", "broker", "domain", "middleware"])
def test_nobody_waits_on_a_simple_queue_for_a_time(folder: str) -> None:
    """On CPython 3.11 that may be for ever."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        if "SimpleQueue(" not in text:
            continue
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        gets = [each for each in calls if isinstance(each.func, ast.Attribute) and each.func.attr == "get"]
        found += [f"{path}:{each.lineno}" for each in gets if each.args or each.keywords]

    assert found == []
