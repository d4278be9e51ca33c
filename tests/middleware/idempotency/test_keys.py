"""How long keys are kept, and what becomes of ends that the store does not hear."""

import pytest
from dramatiq.brokers.stub import StubBroker

from middleware import DuplicateMessage, Retries, StoreUnavailable
from middleware.idempotency.guard import Idempotency
from middleware.idempotency.memory import MemoryIdempotencyStore
from tests.middleware.brokers import replace_stack, stored, work
from tests.middleware.idempotency.keyed_jobs import Job
from tests.middleware.recorded_metrics import Emitted, handling


def test_a_delayed_message_has_its_key_until_it_is_due_and_a_window_longer() -> None:
    """A duplicate is refused in all that time, and not afterwards."""
    now_ms = [0.0]
    broker = StubBroker()
    store = MemoryIdempotencyStore(now_ms=lambda: now_ms[0])
    replace_stack(broker, Idempotency(store, on_duplicate="reject", window_ms=1_000), Retries())
    job = Job(broker)
    payload = {"n": 1, "org_id": "acme", "idempotency_key": "order-17"}

    job.actor.send_with_options(args=(payload,), delay=60_000)

    now_ms[0] = 61_000 - 1
    with pytest.raises(DuplicateMessage):
        job.send(2)
    now_ms[0] = 61_000 + 1
    job.send(3)


class Deaf(MemoryIdempotencyStore):
    """Hands out keys, and does not hear what becomes of them."""

    deaf = True

    def keep(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return self._heard() and super().keep(key, token=token, ttl_ms=ttl_ms)

    def finish(self, key: str, *, token: str, ttl_ms: int) -> bool:
        return self._heard() and super().finish(key, token=token, ttl_ms=ttl_ms)

    def _heard(self) -> bool:
        if self.deaf:
            raise StoreUnavailable("away")
        return True


def test_ends_are_reported_until_the_store_learns_them() -> None:
    """Each later message tries again, and none of the ends is forgotten meanwhile."""
    broker, store = StubBroker(), Deaf()
    guard = Idempotency(store)
    replace_stack(broker, guard, Retries())
    job = Job(broker)
    sent = [job.send(n, key=str(n)) for n in range(3)]
    work(broker, job.queue)

    store.deaf = False
    job.send(3, key="3")
    work(broker, job.queue)

    assert job.ran == [0, 1, 2, 3]
    keys = [guard._key_of(broker, message) for message in sent]
    assert [store.claim(str(key), holder="x", token="t", ttl_ms=1).state for key in keys] == ["done"] * 3


def test_a_key_that_cannot_be_kept_is_no_reason_to_refuse_a_message() -> None:
    """It is enqueued already, and claims its key again when it runs; that is counted."""
    broker = StubBroker()
    replace_stack(broker, Idempotency(Deaf(), on_duplicate="reject"), Retries())
    job = Job(broker)
    errors = Emitted()

    with handling(errors):
        job.send(1)

    assert len(stored(broker, job.queue)) == 1
    assert errors.labels_of("guard_errors_total") == [{"guard": "Idempotency", "decision": "check"}]
