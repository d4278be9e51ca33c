"""How a process keeps the slots it has."""

import threading
from uuid import uuid4

import pytest

from middleware import StoreUnavailable
from middleware.org_limits.memory import MemoryOrgLimitsStore
from middleware.org_limits.slots import Attempt, Slot, SlotKeeper
from tests.middleware.eventually import eventually


class Moody(MemoryOrgLimitsStore):
    """Fails to renew as often as it has errors left, and says when it did renew."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)
        self.renewed = threading.Semaphore(0)

    def renew(self, slots: list[Slot]) -> list[Slot]:
        if self.errors:
            raise self.errors.pop()
        lost = super().renew(slots)
        self.renewed.release()
        return lost


def test_slots_are_renewed_again_whatever_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    """A store that was away, or a bug, costs a turn and is logged; the thread goes on until no slot is held."""
    store, turns = Moody(StoreUnavailable("away"), RuntimeError("bug")), threading.Semaphore(0)
    keeper = SlotKeeper(store, lease_ms=60_000, wake=lambda *_: None, wait=lambda *_: turns.acquire())
    slot = Slot(attempt(), paid_until_ms=0)
    assert store.acquire(slot.attempt).outcome == "run"

    before = threads()
    keeper.hold(slot)
    (thread,) = threads() - before
    turns.release(3)

    assert store.renewed.acquire(timeout=10)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    keeper.let_go(slot)
    turns.release()
    assert eventually(lambda: not thread.is_alive())


def threads() -> set[threading.Thread]:
    """Those that keep slots; one of a test before this may still be at it."""
    return {each for each in threading.enumerate() if each.name == "pressroom-org-limits"}


def attempt() -> Attempt:
    """One that takes a slot of an org that has one."""
    return Attempt(
        org=uuid4().hex,
        actor_name="job",
        message_id=uuid4().hex,
        token=uuid4().hex,
        copy="",
        lease_ms=60_000,
        max_active=1,
        concurrency=None,
        rate=None,
        paid_until_ms=0,
        message=b"",
    )
