"""Requests to cancel: what they mean, and for how long, on the stub broker and on a real server."""

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from middleware.cancellation.memory import MemoryCancellationStore
from middleware.cancellation.requests import CancellationClient, RequestCache
from tests.middleware.cancellation.cancellable_broker import Rig


@pytest.fixture
def rig(bare_broker: dramatiq.Broker) -> Rig:
    """The guard above retries and callbacks."""
    return Rig(bare_broker)


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"actor": "one"}, ["two a", "two b"]),
        ({"org": "a"}, ["one b", "two b"]),
        ({"actor": "two", "org": "b"}, ["one a", "one b", "two a"]),
        ({"actor": "one", "org": "b", "queue": "another"}, ["one a", "one b", "two a", "two b"]),
    ],
)
def test_all_that_fit_are_cancelled_and_no_others(rig: Rig, asked: dict[str, str], left: list[str]) -> None:
    """By actor, org and queue, and all that is given has to fit."""
    for name in ("one", "two"):
        rig.declare(name)
        for org in ("a", "b"):
            rig.send(name, f"{name} {org}", org=org)
    rig.ask.cancel_all(**asked)  # type: ignore[arg-type]  # only texts are asked for

    rig.work()

    assert sorted(rig.ran) == left


def test_a_whole_queue_can_be_cancelled_delayed_messages_included(rig: Rig) -> None:
    """Its delayed half goes by the same name."""
    rig.declare()
    rig.send()
    rig.send(delay=50)
    rig.ask.cancel_all(queue=rig.queue)

    rig.work()

    assert rig.outcomes.seen == ["cancelled", "cancelled"]


def test_what_is_sent_later_is_not_meant(rig: Rig) -> None:
    """Cancelling by filter clears what is there, and closes nothing."""
    rig.declare()
    rig.ask.cancel_all(actor="job")
    (request,) = rig.ask.in_force()
    later = rig.broker.get_actor("job").message("later").copy(message_timestamp=request.requested_at_ms + 1)
    rig.broker.enqueue(later)

    rig.work()

    assert rig.ran == ["later"]


def test_a_withdrawn_request_stops_nothing_more(rig: Rig) -> None:
    """A filter that meant too much can be taken back."""
    rig.declare()
    rig.send(argument="spared")
    request_id = rig.ask.cancel_all(actor="job")
    rig.guard.refresh()
    assert rig.ask.withdraw(request_id)

    rig.work()

    assert rig.ran == ["spared"]
    assert rig.ask.in_force() == []


def test_an_org_that_asks_by_id_hits_no_others_message(rig: Rig) -> None:
    """Its own is cancelled; another org's with that id runs, and so does one of no org."""
    rig.declare()
    sent = {org: rig.send(argument=str(org), org=org) for org in ("a", "b", None)}
    for message_id in sent.values():
        rig.ask.cancel(message_id, org="a")

    rig.work()

    assert sorted(rig.ran) == ["None", "b"]


def test_no_id_can_be_made_up_that_means_anothers_message() -> None:
    """Ids of requests are put together; whose message it is, is asked all the same."""
    store = MemoryCancellationStore()
    known = RequestCache(store)
    broker = StubBroker(middleware=[])
    job = dramatiq.actor(broker=broker, actor_name="job")(lambda: None)
    theirs = job.message_with_options(org="a:b").copy(message_id="c")
    CancellationClient(store).cancel("b:c", org="a")
    known.refresh()

    assert not known.match(dramatiq.broker.MessageProxy(theirs))
    (request,) = store.changes(0).requests
    assert not request.fits(dramatiq.broker.MessageProxy(theirs.copy(message_id="b:c")))
    assert request.fits(dramatiq.broker.MessageProxy(theirs.copy(message_id="b:c", options={"org": "a"})))


def test_orgs_requests_for_one_id_stand_side_by_side(rig: Rig) -> None:
    """One that asks after another neither replaces its request nor can withdraw it."""
    rig.declare()
    message_id = rig.send(org="a")
    mine = rig.ask.cancel(message_id, org="a")
    theirs = rig.ask.cancel(message_id, org="b")
    assert rig.ask.withdraw(theirs)
    assert [each.request_id for each in rig.ask.in_force()] == [mine]

    rig.work()

    assert (rig.ran, rig.outcomes.seen) == ([], ["cancelled"])


def test_a_request_ends_with_its_time_also_where_it_is_known() -> None:
    """A process does not go on cancelling what the store has long forgotten."""
    now_s = [0.0]
    store = MemoryCancellationStore(now_ms=lambda: now_s[0] * 1_000)
    known = RequestCache(store, monotonic=lambda: now_s[0])
    broker = StubBroker(middleware=[])
    job = dramatiq.actor(broker=broker, actor_name="job")(lambda: None)
    message = dramatiq.broker.MessageProxy(job.message())
    CancellationClient(store).cancel(message.message_id, keep_for_ms=1_000)
    known.refresh()
    assert known.match(message)

    now_s[0] = 1.0

    assert not known.match(message)
    known.refresh()
    assert not known.match(message)


def test_everything_at_once_has_to_be_named(rig: Rig) -> None:
    """An empty filter is a mistake, not a wish."""
    with pytest.raises(ValueError, match="nothing would mean every message there is"):
        rig.ask.cancel_all()
    with pytest.raises(ValueError, match="keep_for_ms must be at least 1, not 0"):
        rig.ask.cancel("m", keep_for_ms=0)
