"""A server at its `maxmemory`: sends are refused, and everything else goes on until there is room again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import dramatiq
import pytest
from dramatiq.errors import BrokerError
from dramatiq.middleware import Pipelines, Retries

from broker import FairRedisBroker, Inspector, Operations, OrgShare, QueueFull
from tests.broker.workers import PATIENCE_MS, dead, folders, started, take
from tests.middleware.eventually import eventually
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

#: Jobs that wait; each of them ends while the server is full.
JOBS = 500

BODY = "x" * 20_000


@pytest.fixture
def server() -> Iterator[FairRedisBroker]:
    """A broker on a server that nobody else uses."""
    with own_valkey() as server:
        broker = FairRedisBroker(
            url=server.url, middleware=[Retries(min_backoff=1, max_backoff=2), Pipelines()]
        )
        try:
            yield broker
        finally:
            broker.close()


@contextmanager
def full(broker: FairRedisBroker) -> Iterator[None]:
    """No memory is left, whatever is freed."""
    broker.client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        broker.client.config_set("maxmemory", 0)


def refusal(call: Callable[[], object]) -> BrokerError | None:
    """What the server has against it."""
    try:
        call()
    except BrokerError as error:
        return error
    return None


def used_bytes(broker: FairRedisBroker) -> int:
    """Memory that the server has in use."""
    return int(broker.client.info("memory")["used_memory"])


def test_a_server_full_of_what_waits_drains(server: FairRedisBroker) -> None:
    """All that waits is done without more room, and its memory is free again."""
    ran: list[int] = []
    actor = dramatiq.actor(broker=server)(lambda number, body: ran.append(number))
    server.send_many(actor.message(number, BODY) for number in range(JOBS))
    before = used_bytes(server)
    with full(server):
        with pytest.raises(QueueFull):
            actor.send(JOBS, BODY)
        with started(server, threads=4):
            assert eventually(lambda: server.do_qsize("default") == 0)
        after = used_bytes(server)

    assert sorted(ran) == list(range(JOBS))
    assert after < before - JOBS * len(BODY) / 2


def test_what_follows_on_a_job_is_not_lost_on_a_full_server(server: FairRedisBroker) -> None:
    """Retries and next steps go with the ends of jobs that began before it was full, and of those after."""
    tried: list[int] = []
    followed: list[int] = []
    begun, may_end = threading.Event(), threading.Event()

    @dramatiq.actor(broker=server, max_retries=2)
    def first(number: int, body: str) -> int:
        begun.set()
        may_end.wait(PATIENCE_MS / 1_000)
        tried.append(number)
        if tried.count(number) == 1:
            raise RuntimeError
        return number

    next_step = dramatiq.actor(broker=server, actor_name="next_step")(followed.append)
    for number in range(JOBS):
        steps = [first.message(number, BODY), next_step.message_with_options()]
        dramatiq.pipeline(steps, broker=server).run()  # type: ignore[no-untyped-call]
    with started(server, threads=4):
        assert begun.wait(10)
        with full(server):
            may_end.set()
            server.join("default", timeout=3 * PATIENCE_MS)

    assert sorted(tried) == sorted(2 * list(range(JOBS)))
    assert sorted(followed) == list(range(JOBS))


def test_a_full_server_says_what_is_full(server: FairRedisBroker) -> None:
    """And what to do; many at once are refused as one is, and nothing is stored."""
    actor = dramatiq.actor(broker=server)(lambda: None)
    with full(server):
        with pytest.raises(QueueFull, match=r"memory is full \(maxmemory\).*raise maxmemory") as refused:
            actor.send()
        answers = server.send_many(actor.message() for _ in range(300))

    assert (refused.value.full, refused.value.org) == ("memory", None)
    assert refused.value.retry_after_s > 0
    assert all(isinstance(each, QueueFull) for each in answers)
    assert server.do_qsize("default") == 0


def test_a_message_that_waits_for_something_is_taken_by_a_full_server(server: FairRedisBroker) -> None:
    """It is one that was in, and has nowhere else to be."""
    actor = dramatiq.actor(broker=server)(lambda: None)
    with full(server):
        assert (
            refusal(lambda: server.park(actor.message(), delay_ms=100_000, cause="a test", key="door"))
            is None
        )

    assert folders(server.client, server) == {"delayed": 1}


def test_a_message_dies_and_comes_back_on_a_full_server(server: FairRedisBroker) -> None:
    """Rejected or handed back, it is where it belongs."""
    actor = dramatiq.actor(broker=server)(lambda: None)
    consumer = server.consume("default", prefetch=2, timeout=1_000)
    actor.send()
    actor.send()
    held = [take(consumer), take(consumer)]
    with full(server):
        consumer.nack(held[0])
        consumer.requeue(held[1:])
        assert eventually(lambda: folders(server.client, server) == {"ready": 1, "dead": 1})
    consumer.close()

    assert dead(server.client, server) == 1


#: What operators and workers ask of a server that is full.
CALLS: dict[str, Callable[[FairRedisBroker], object]] = {
    "a pause": lambda broker: broker.shut("operator", {"o:acme": (0, "it floods")}),
    "its end": lambda broker: broker.shut("operator", {}),
    "shares of orgs": lambda broker: broker.configure_orgs({"acme": OrgShare(weight=2, max_active=3)}),
    "a rate": lambda broker: broker.enforce(
        SimpleNamespace(kind="rate", actor="job", interval_ms=1_000.0, tolerance_ms=0.0)
    ),
    "a release": lambda broker: broker.release("door"),
    "a report of a death": lambda broker: broker.report_death("nobody", -9, stopped=False),
    "a look at a queue": lambda broker: Inspector(broker.client, broker.base).depth("default"),
    "a look at its lanes": lambda broker: Inspector(broker.client, broker.base).lanes("default"),
    "a quiet worker": lambda broker: Operations(broker.client, broker.base).quiet("nobody"),
    "a dry run": lambda broker: Operations(broker.client, broker.base).clean("default", dry_run=True),
    "a clean-up": lambda broker: Operations(broker.client, broker.base).clean("default"),
    "a flush": lambda broker: broker.flush("default"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_operator_may_do_everything_on_a_full_server(
    server: FairRedisBroker, call: Callable[[FairRedisBroker], object]
) -> None:
    """Look, hold back, loosen, and drop."""
    actor = dramatiq.actor(broker=server, actor_name="job")(lambda: None)
    for number in range(3):
        actor.send_with_options(org="acme", delay=1_000_000 * number)
    with full(server):
        assert refusal(lambda: call(server)) is None


def test_a_worker_comes_and_goes_on_a_full_server(server: FairRedisBroker) -> None:
    """It is known while it lives, and was asked to stop; nothing of it is left."""
    server.declare_queue("default")
    with full(server):
        with started(server):
            assert eventually(lambda: bool(server.client.exists(f"{server.base}:wi")))
            worker_id = server.worker_id
        assert server.client.get(f"{server.base}:dw:{worker_id}") == b"stopped"
        assert not server.client.exists(f"{server.base}:workers")


def test_a_token_is_passed_on_by_a_full_server(server: FairRedisBroker) -> None:
    """One whose threads are busy gives it to another worker."""
    consumer = server.consume("default", timeout=50)
    waiter = consumer._waiter  # type: ignore[attr-defined]
    with full(server):
        waiter.woken = True
        assert refusal(waiter.pass_on) is None

    assert server.client.llen(f"{server.base}:wake:default") == 1
    consumer.close()
