"""One producer of a storm: `python -m tests.broker.chaos.producer INDEX`."""

import os
import sys
import threading
from uuid import uuid4

from dramatiq import Message
from dramatiq.errors import ConnectionClosed

from broker import FairRedisBroker, QueueFull
from middleware.base.messages import as_redelivery
from tests.broker.chaos.jobs import connected, insist
from tests.broker.chaos.plan import OWN, QUEUE, URL_VARIABLE, Plan

#: How many messages were sent again, since nobody knew whether they had arrived.
RESENT = f"{OWN}resent"

_RETRY_S = 0.05


def main() -> None:
    plan = Plan.from_environment()
    broker, client = connected(os.environ[URL_VARIABLE], plan)
    resent = 0
    for job in range(int(sys.argv[1]), plan.jobs, plan.producers):
        for suffix in ("", "-again") if plan.is_sent_twice(job) else ("",):
            resent += send(broker, message_for(plan, job, f"job-{job}{suffix}"), plan.delay_ms(job))
    insist(client, "RPUSH", RESENT, resent)


def message_for(plan: Plan, job: int, message_id: str) -> "Message[object]":
    """One message that asks for this job."""
    payload = {"job": job, "message_id": message_id, "idempotency_key": str(job)}
    return Message(
        queue_name=QUEUE,
        actor_name="job",
        args=(payload,),
        kwargs={},
        options={"org": plan.org(job)},
        message_id=message_id,
    )


def send(broker: FairRedisBroker, message: "Message[object]", delay_ms: int | None) -> int:
    """Until it is accepted; how often it was sent again, each time as a copy of itself."""
    resent = 0
    while True:
        try:
            broker.enqueue(message, delay=delay_ms)
        except ConnectionClosed:
            message = as_redelivery(message, uuid4().hex)
            resent += 1
            threading.Event().wait(_RETRY_S)
        except QueueFull:
            threading.Event().wait(_RETRY_S)
        else:
            return resent


if __name__ == "__main__":
    main()
