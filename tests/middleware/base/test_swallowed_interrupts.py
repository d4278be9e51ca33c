"""Python ignores what is raised in finalizers and weak references' callbacks; interrupts do not get lost there."""

import threading
import time
from contextlib import suppress

import pytest
from dramatiq.threading import Interrupt

from middleware.base import interrupts
from middleware.base.interrupts import Cancelled, Window
from tests.middleware.eventually import PATIENCE_S


class Hit(Interrupt):
    """What a test interrupts with."""


def test_an_interrupt_that_a_finalizer_swallows_is_sent_again() -> None:
    """Python ignores whatever is raised in a finalizer or a weak reference's callback; the job is hit all the same."""
    window, finalizing = Window(), threading.Event()
    outcome: list[str] = []

    class Swallows:
        def __del__(self) -> None:
            finalizing.set()
            while time.monotonic() < until_s:
                pass

    def job() -> None:
        window.open()
        try:
            Swallows()
            while time.monotonic() < until_s:
                pass
            outcome.append("untouched")
        except Hit:
            outcome.append("hit")
        finally:
            window.close()

    until_s = time.monotonic() + PATIENCE_S
    thread = threading.Thread(target=job)
    thread.start()
    assert finalizing.wait(PATIENCE_S)
    assert window.interrupt(Hit)
    thread.join(2 * PATIENCE_S)

    assert outcome == ["hit"]


def test_what_other_finalizers_raise_is_reported_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the interrupts of jobs that run are taken care of."""
    reported: list[type[BaseException] | None] = []
    monkeypatch.setattr(interrupts, "_tell_unraisable", lambda problem: reported.append(problem.exc_type))

    class Fails:
        def __init__(self, error: type[BaseException]) -> None:
            self.error = error

        def __del__(self) -> None:
            raise self.error

    window = Window()
    window.open()
    with suppress(Cancelled):
        window.interrupt(Cancelled)
    for error in (KeyError, Hit):
        Fails(error)
    window.close()
    Fails(Cancelled)

    assert reported == [KeyError, Hit, Cancelled]
