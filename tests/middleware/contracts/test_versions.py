"""Contracts over time: older messages are brought up to date, newer ones wait for a newer worker."""

from typing import Any, ClassVar
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.composition import pipeline
from pydantic import BaseModel, ConfigDict

from middleware import Contracts, InvalidPayload, Parked, Retries
from middleware.base.delegation import SupportsParking
from middleware.contracts.guard import UnknownVersion, json_schemas
from tests.middleware.brokers import replace_stack, stored, work


class Resize(BaseModel):
    """The contract as this build knows it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    contract_version: ClassVar[int] = 3

    org_id: str = "o"
    image_id: int
    width: int


def widths(payload: dict[str, Any]) -> dict[str, Any]:
    """1 to 2: `size` became `width`."""
    return {"image_id": payload["image_id"], "width": payload["size"]}


def orgs(payload: dict[str, Any]) -> dict[str, Any]:
    """2 to 3: the org came in."""
    return {**payload, "org_id": "legacy"}


class World:
    """A broker with one actor, and a clock."""

    def __init__(self, broker: dramatiq.Broker, **actor_options: Any) -> None:
        self.now_ms = 1_000
        self.guard = Contracts(hold_ms=10, hold_max_ms=1_000, now_ms=lambda: self.now_ms)
        replace_stack(broker, self.guard, Retries(max_retries=0))
        self.broker = broker
        self.queue = f"q{uuid4().hex}"
        self.got: list[Resize] = []
        #: What the next attempts end with.
        self.fail: list[Exception] = []
        got = self.got

        @dramatiq.actor(broker=broker, queue_name=self.queue, **actor_options)
        def resize(job: Resize) -> None:
            if self.fail:
                raise self.fail.pop()
            got.append(job)

        self.actor = resize

    def message(self, payload: dict[str, Any], version: int) -> "dramatiq.Message[Any]":
        """What another release would have enqueued."""
        return self.actor.message_with_options(args=(payload,), admitted=True, contract_version=version)


def test_an_older_payload_is_brought_up_to_date(bare_broker: dramatiq.Broker) -> None:
    """Step by step, and then checked like any other."""
    world = World(bare_broker, upcasters={1: widths, 2: orgs})

    bare_broker.enqueue(world.message({"image_id": 1, "size": 5}, version=1))
    bare_broker.enqueue(world.message({"image_id": 2, "width": 6}, version=2))
    work(bare_broker, world.queue)

    assert sorted((job.image_id, job.width, job.org_id) for job in world.got) == [
        (1, 5, "legacy"),
        (2, 6, "legacy"),
    ]


def test_a_retry_of_an_older_message_is_not_brought_up_to_date_again(bare_broker: dramatiq.Broker) -> None:
    """It is of this build's version from its first attempt on."""
    upgraded: list[int] = []

    def once(payload: dict[str, Any]) -> dict[str, Any]:
        upgraded.append(1)
        return widths(payload)

    world = World(bare_broker, upcasters={1: once, 2: orgs}, max_retries=1, min_backoff=1)
    world.fail = [ValueError()]

    bare_broker.enqueue(world.message({"image_id": 1, "size": 5}, version=1))
    work(bare_broker, world.queue)

    assert [job.width for job in world.got] == [5]
    assert upgraded == [1]


def test_a_gap_between_versions_says_what_is_missing() -> None:
    """It is final, category version, and can be replayed once the step is there."""
    world = World(StubBroker(), upcasters={1: widths})
    proxy = MessageProxy(world.message({"image_id": 1, "size": 5}, version=1))

    with pytest.raises(UnknownVersion, match="nothing leads from version 2 to 3") as caught:
        world.guard.admit(world.broker, proxy)

    assert (caught.value.category, caught.value.retryable) == ("version", False)


def test_a_newer_payload_waits_for_a_newer_worker(bare_broker: dramatiq.Broker) -> None:
    """It is offered again and again, costs no attempt, and the newer worker runs it as it is."""
    world = World(bare_broker)
    newer = {"image_id": 1, "width": 5, "height": 7}
    proxy = MessageProxy(world.message(newer, version=4))

    for _ in range(3):
        with pytest.raises(Parked, match="held for a newer version") as caught:
            world.guard.admit(bare_broker, proxy)

    # Where nobody can let it go, it is looked at again soon.
    held = (1_000, "version:resize:4") if isinstance(bare_broker, SupportsParking) else (10, "version:resize")
    assert (caught.value.delay_ms, caught.value.key) == held
    assert proxy.args == (newer,)


def test_a_newer_payload_is_given_up_after_a_while() -> None:
    """So that it ends in the dead letters, whole."""
    world = World(StubBroker())
    proxy = MessageProxy(world.message({"image_id": 1}, version=4))
    with pytest.raises(Parked):
        world.guard.admit(world.broker, proxy)

    world.now_ms += 1_000
    with pytest.raises(UnknownVersion, match="contract version 4 of resize"):
        world.guard.admit(world.broker, proxy)


def test_a_worker_with_an_older_contract_holds_what_the_newer_worker_then_runs() -> None:
    """Two releases on one queue: nothing fails, nothing is lost."""
    broker = StubBroker()
    old = World(broker)

    class Newer(Resize):
        contract_version: ClassVar[int] = 4
        height: int

    old.broker.enqueue(old.message({"image_id": 1, "width": 5, "height": 7}, version=4))
    work_once(broker, old.queue)
    assert old.got == []
    (held,) = stored(broker, f"{old.queue}.DQ")

    new = StubBroker()
    replace_stack(new, Contracts(), Retries(max_retries=0))
    got: list[Newer] = []

    @dramatiq.actor(broker=new, queue_name=old.queue, actor_name="resize")
    def resize(job: Newer) -> None:
        got.append(job)

    new.enqueue(held.copy(queue_name=old.queue))
    work(new, old.queue)
    assert [job.height for job in got] == [7]


def work_once(broker: StubBroker, queue: str) -> None:
    """Let one message be processed, and leave what it enqueues where it is."""
    message = dramatiq.Message.decode(broker.queues[queue].get())
    proxy = MessageProxy(message)
    try:
        broker.emit_before("process_message", proxy)
    except Parked as parked:
        broker.emit_after("process_message", proxy, exception=parked)


def test_the_version_and_the_org_travel_with_the_message(bare_broker: dramatiq.Broker) -> None:
    """From the contract, without the caller's doing."""
    world = World(bare_broker)

    world.actor.send(Resize(org_id="acme", image_id=1, width=2))

    (message,) = stored(bare_broker, world.queue)
    assert (message.options["contract_version"], message.options["org"]) == (3, "acme")


def test_what_another_release_made_is_sent_as_it_is(bare_broker: dramatiq.Broker) -> None:
    """A message that an outbox kept over a deployment is brought up to date by the worker, not refused at send."""
    world = World(bare_broker, upcasters={1: widths, 2: orgs})
    old = world.message({"image_id": 1, "size": 2}, version=1)
    del old.options["admitted"]

    bare_broker.enqueue(old)

    (message,) = stored(bare_broker, world.queue)
    assert (message.args[0], message.options["contract_version"]) == ({"image_id": 1, "size": 2}, 1)
    work(bare_broker, world.queue)
    assert world.got == [Resize(org_id="legacy", image_id=1, width=2)]


def test_an_org_option_that_is_not_the_payloads_is_refused(bare_broker: dramatiq.Broker) -> None:
    """One org cannot hide behind another's limits."""
    world = World(bare_broker)

    with pytest.raises(InvalidPayload, match="org_id: is not the org"):
        world.actor.send_with_options(args=(Resize(org_id="acme", image_id=1, width=2),), org="rival")

    assert stored(bare_broker, world.queue) == []


def test_models_in_a_pipeline_are_plain_json_before_it_starts(bare_broker: dramatiq.Broker) -> None:
    """Every step is checked when the pipeline is sent, and the encoder never meets a model."""
    world = World(bare_broker)
    queue, got = f"q{uuid4().hex}", []

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def first() -> None:
        got.append("first")

    steps = [
        world.actor.message_with_options(args=(Resize(image_id=number, width=2),), pipe_ignore=True)
        for number in (1, 2)
    ]
    pipeline([first.message(), *steps], broker=bare_broker).run()  # type: ignore[no-untyped-call]

    (message,) = stored(bare_broker, queue)
    second = message.options["pipe_target"]
    assert second["args"] == [{"org_id": "o", "image_id": 1, "width": 2}]
    assert second["options"]["pipe_target"]["args"] == [{"org_id": "o", "image_id": 2, "width": 2}]


def test_every_contract_can_be_exported_as_json_schema(bare_broker: dramatiq.Broker) -> None:
    """By actor, with its version."""
    World(bare_broker)

    schema = json_schemas(bare_broker)["resize"]

    assert schema["required"] == ["image_id", "width"]
    assert schema["x-contract-version"] == 3
