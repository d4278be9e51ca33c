"""A message is one before anything is done with it: what has another shape is a dead letter, and does not run."""

from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Message

from broker import FairRedisBroker
from broker.leasing.lease import Lease
from broker.leasing.shape import fault_of
from tests.broker.workers import run_all

STEP: dict[str, Any] = {
    "queue_name": "default",
    "actor_name": "next",
    "args": [],
    "kwargs": {},
    "options": {},
    "message_id": "m2",
    "message_timestamp": 1,
}


def message(**changed: Any) -> "Message[Any]":
    """One with every field, as `changed` has it."""
    fields: dict[str, Any] = {**STEP, "actor_name": "job", "message_id": "m1"}
    return Message(**{**fields, **changed})


def lease(message_id: str = "m1", queue: str = "default") -> Lease:
    """Where it stood."""
    return Lease(message_id, "1|1|0|0|1|", queue, "", "job:0")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retries": 2, "max_retries": None, "time_limit": float("inf"), "held_until": 10**15},
        {"retries": 10**30, "org": "acme", "unknown": object()},
        {"pipe_target": STEP, "on_failure": "other"},
        {"throws": ValueError},
    ],
)
def test_a_message_is_one(options: dict[str, Any]) -> None:
    """Also under the name of its copy."""
    assert fault_of(message(options=options), lease()) is None
    assert fault_of(message(options=options), lease("m1~u7")) is None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"actor_name": "\ud800"}, "actor_name is no text"),
        ({"actor_name": 5}, "actor_name is no text"),
        ({"queue_name": "elsewhere"}, "names another queue"),
        ({"message_id": "m7"}, "stood under another id"),
        ({"kwargs": []}, "are none"),
        ({"options": "text"}, "are none"),
        ({"message_timestamp": "yesterday"}, "the time"),
        ({"message_timestamp": True}, "the time"),
        ({"options": {"retries": "2"}}, "option retries"),
        ({"options": {"org": [], "retries": "2"}}, "option retries"),
        ({"options": {"max_age": float("nan")}}, "option max_age"),
        ({"options": {"throws": "ValueError"}}, "option throws"),
        ({"options": {"pipe_target": [1]}}, "option pipe_target"),
        ({"options": {"pipe_target": {"a": 1}}}, "next step"),
        ({"options": {"pipe_target": {**STEP, "message_id": "\ud800"}}}, "has no name"),
        ({"options": {"pipe_target": {**STEP, "options": {"retries": []}}}}, "option retries"),
    ],
)
def test_what_has_another_shape_is_none(changed: dict[str, Any], fault: str) -> None:
    """It is said what is wrong, and never what stands in it."""
    assert fault in (fault_of(message(**changed), lease()) or "")


@pytest.mark.slow
def test_what_is_no_message_does_not_run(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Its next step, for one, would be lost after it has run."""
    ran: list[str] = []
    actor = dramatiq.actor(broker=fair)(ran.append)
    fair.enqueue(actor.message("odd").copy(options={"pipe_target": {"a": 1}}))
    actor.send("neighbour")
    run_all(fair)

    assert ran == ["neighbour"]
    assert raw.zcard(f"{fair.base}:xq:default") == 1
