"""One record can hurt only itself, whatever it is and by whichever door it came: its neighbours run.

Messages and values that no encoder of ours would make are put where ours stand: sent, sent with many, along with the
end of another, parked, drained from Dramatiq's own broker, and written into Redis. A worker runs all neighbours, before
it and after it, and what was foreign is refused at its sender, has run, or is a dead letter with its bytes.
`MODEL_EXAMPLES=2000` (or `make model`) looks longer.
"""

import json
import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq import Message
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from broker.drain.dramatiq_queues import DramatiqDrain
from broker.keys import record_of
from tests.broker.foreign_values import (
    FIELDS,
    KEYS,
    OPTIONS,
    STANDS,
    TYPES,
    foreign_bytes,
    foreign_values,
    write_as,
)
from tests.broker.foreign_world import World, corrupt, put_record, world_on
from tests.broker.model.conftest import quiet_server
from tests.broker.workers import started
from tests.middleware.eventually import eventually

__all__ = ["quiet_server"]

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "40"))
LONG = EXAMPLES > 100


#: Of a message that is one.
_FIELDS: dict[str, object] = {
    "queue_name": "default",
    "actor_name": "neighbour",
    "args": ["odd"],
    "kwargs": {},
    "options": {},
    "message_id": "odd",
    "message_timestamp": 1,
}


each_door = settings(
    max_examples=max(6, EXAMPLES // 4),
    deadline=None,
    print_blob=True,
    phases=set(Phase) if LONG else {Phase.explicit, Phase.generate},
    suppress_health_check=list(HealthCheck),
)


@st.composite
def odd_messages(draw: st.DrawFn) -> Callable[[World], "Message[Any]"]:
    """A message with something foreign in a field or an option."""
    field, option = draw(st.sampled_from(FIELDS)), draw(st.sampled_from(OPTIONS))
    value, in_options = draw(foreign_values), draw(st.booleans())

    def make(world: World) -> "Message[Any]":
        message = world.ready()
        if in_options:
            return message.copy(options={option: value})
        fields = {**message.asdict(), field: value}
        try:
            return Message(**fields)
        except TypeError:  # no message even here
            return message

    return make


@each_door
@example(message=lambda world: world.ready().copy(actor_name="\ud800"), many=False, delay=None)
@given(
    message=odd_messages(),
    many=st.booleans(),
    delay=st.sampled_from([None, 0, -5, 1.5, 10**30, 10**400, float("nan"), float("inf"), "5", True]),
)
def test_what_is_sent_is_refused_at_its_sender_or_hurts_nobody(
    quiet_server: "redis.Redis", message: Callable[[World], "Message[Any]"], many: bool, delay: Any
) -> None:
    """Alone or among many."""
    with world_on(quiet_server) as world:
        world.neighbours()
        odd = message(world)
        try:
            if many:
                world.names.add("beside")
                answers = world.broker.send_many([odd, world.actor.message("beside")], delay=delay and None)
                assert isinstance(answers[1], Message)
            else:
                world.broker.enqueue(odd, delay=delay)
        except ValueError:
            pass
        world.neighbours()
        world.run()


@each_door
@given(message=odd_messages(), door=st.sampled_from(["next step", "callback", "retry", "park", "release"]))
def test_what_goes_along_with_an_end_hurts_nobody(
    quiet_server: "redis.Redis", message: Callable[[World], "Message[Any]"], door: str
) -> None:
    """Neither the other ends of the call, nor what goes along with them."""
    with world_on(quiet_server) as world:
        world.neighbours()
        odd = message(world)
        broker = world.broker

        @dramatiq.actor(broker=broker, actor_name="carrier", max_retries=1)
        def carrier() -> None:
            if door == "retry":
                raise ValueError(door)

        class Carrying(dramatiq.Middleware):
            def after_process_message(self, broker: Any, message: Any, **_: Any) -> None:
                if message.actor_name != "carrier":
                    return
                if door == "park":
                    broker.park(odd, delay_ms=10**20, cause="\ud800", key="\ud800")
                else:
                    broker.enqueue(odd, delay=float("nan") if door == "callback" else None)

        broker.add_middleware(Carrying())
        for _ in range(3):
            carrier.send()
        if door == "release":
            broker.release("\ud800\n")
        world.neighbours()
        world.run()


@each_door
@given(
    body=st.one_of(
        foreign_bytes,
        st.builds(
            lambda field, value: json.dumps({**_FIELDS, field: value}).encode(),
            st.sampled_from(FIELDS),
            st.sampled_from([None, 5, "\ud800", [], {}, "text"]),
        ),
    ),
    header=st.sampled_from(["its own", "none", "of another queue", "of another lane", "half"]),
    stands=st.sampled_from(["ready", "delayed", "suspect"]),
)
def test_a_record_that_is_none_is_a_dead_letter_with_its_bytes(
    quiet_server: "redis.Redis", body: bytes, header: str, stands: str
) -> None:
    """Wherever it stands, and whatever stands before it."""
    with world_on(quiet_server) as world:
        world.neighbours()
        place = ("default", "odd", "neighbour:0", "u1")
        record = {
            "its own": record_of(*place, body),
            "none": body,
            "of another queue": record_of("elsewhere", *place[1:], body),
            "of another lane": record_of("default", "a", "somebody:5", "u1", body),
            "half": b"default\nodd\n" + body,
        }[header]
        put_record(world, "odd", record, stands)
        world.neighbours()
        world.run()

        with started(world.broker):
            found = eventually(lambda: any(body in each for each in world.letters()))
        assert found or _is_message(body), (record, world.letters())


@each_door
@given(
    where=st.sampled_from(STANDS),
    value=foreign_bytes,
    score=st.sampled_from([0.0, -1.0, -(10.0**300), float("-inf"), 1.0]),
)
def test_a_value_that_is_none_hurts_nobody(
    quiet_server: "redis.Redis", where: str, value: bytes, score: float
) -> None:
    """In the place of an entry, a token, a counter, or of what is configured."""
    with world_on(quiet_server) as world:
        world.neighbours()
        corrupt(world, where, value, score)
        world.neighbours()
        world.run()


@each_door
@given(
    letters=st.sampled_from(KEYS),
    kind=st.sampled_from(TYPES),
)
def test_a_key_of_another_type_hurts_nobody(quiet_server: "redis.Redis", letters: str, kind: str) -> None:
    """It is put out of the way when it is met, whole."""
    # A list is of the right type there: it is a lane that has left the ready ones, and nothing lets it in.
    if letters.startswith("l:") and kind == "list":
        return
    with world_on(quiet_server) as world:
        write_as(quiet_server, world.key(letters), kind)
        world.neighbours()
        world.run()


@each_door
@given(bodies=st.lists(foreign_bytes, min_size=1, max_size=3), delayed=st.booleans())
def test_what_is_drained_from_dramatiq_hurts_nobody(
    quiet_server: "redis.Redis", bodies: list[bytes], delayed: bool
) -> None:
    """What is no message there is a dead letter, whole."""
    with world_on(quiet_server) as world:
        source = uuid4().hex
        name = f"{source}:default{'.DQ' if delayed else ''}"
        good = world.actor.message("drained")
        for number, body in enumerate([*bodies, good.encode()]):
            quiet_server.hset(f"{name}.msgs", f"id{number}", body)
            quiet_server.rpush(name, f"id{number}")
        world.names.add("drained")
        for _ in DramatiqDrain(world.broker, namespace=source).drain("default"):
            pass
        world.neighbours()
        letters = world.run()

        assert all(any(body in each for each in letters) for body in bodies)
        quiet_server.delete(name, f"{name}.msgs")


def _is_message(body: bytes) -> bool:
    """Whether it may have run after all."""
    try:
        message: Message[Any] = Message.decode(body)
    except dramatiq.errors.DecodeError:
        return False
    return message.actor_name == "neighbour" or message.actor_name not in ("neighbour", "")
