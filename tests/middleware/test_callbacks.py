"""Callbacks: told once, when it is certain."""

import json
from typing import Any
from uuid import uuid4

import dramatiq

from middleware import Callbacks, Deadlines, Parked, Retries
from tests.middleware.brokers import replace_stack, work
from tests.middleware.retrying_jobs import QUICK, Job, Watch


def test_on_failure_fires_once_and_only_on_the_final_failure(
    bare_broker: dramatiq.Broker, watch: Watch
) -> None:
    """After parks and retries; the error's text is not told."""
    reported: list[tuple[dict[str, Any], dict[str, str]]] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def tell(message: dict[str, Any], error: dict[str, str]) -> None:
        reported.append((message, error))

    job = Job(
        bare_broker, Parked("x", delay_ms=1), ValueError("hunter2"), ValueError("hunter2"), max_retries=1
    )
    sent = job.actor.send_with_options(on_failure=tell)
    work(bare_broker, job.queue)
    work(bare_broker, queue)

    ((message, error),) = reported
    assert message["message_id"] == sent.message_id
    assert error["type"] == "ValueError"
    assert "hunter2" not in json.dumps(error)


def test_on_failure_fires_for_a_message_that_was_too_old_to_begin(bare_broker: dramatiq.Broker) -> None:
    """It never ran, and has failed for good."""
    replace_stack(bare_broker, Deadlines(), Callbacks(), Retries(**QUICK))
    reported: list[dict[str, str]] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def tell(_message: dict[str, Any], error: dict[str, str]) -> None:
        reported.append(error)

    job = Job(bare_broker)
    job.actor.send_with_options(on_failure=tell, expires_at=1)
    work(bare_broker, job.queue)
    work(bare_broker, queue)

    assert job.runs == 0
    assert [error["category"] for error in reported] == ["timeout"]


def test_on_success_fires_with_the_result(bare_broker: dramatiq.Broker, watch: Watch) -> None:
    """As in Dramatiq."""
    reported: list[object] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def tell(_message: dict[str, Any], result: object) -> None:
        reported.append(result)

    @dramatiq.actor(broker=bare_broker, queue_name=queue, on_success="tell")
    def three() -> int:
        return 3

    three.send()
    work(bare_broker, queue)

    assert reported == [3]
