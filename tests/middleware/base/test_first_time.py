"""A guard is asked about a message once, when it is sent, and only a guard that has something to say."""

from typing import Any
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.middleware import Middleware
from dramatiq.middleware import Retries as DramatiqRetries

from middleware import Guard, GuardError, Retries
from tests.middleware.brokers import replace_stack, work


class Refuses(Guard):
    """Takes nothing any more."""

    def check(self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None) -> None:
        raise GuardError("nothing is taken any more")


class Silent(Guard):
    """Has nothing to say."""


class Outspoken(Silent):
    """Has, unlike what it is made of."""

    def check(self, broker: dramatiq.Broker, message: "dramatiq.Message[Any]", delay: int | None) -> None:
        message.options["asked"] = True


@pytest.mark.parametrize("retries", [Retries, DramatiqRetries])
def test_what_was_sent_before_there_were_guards_is_retried(
    bare_broker: dramatiq.Broker, retries: type[Middleware]
) -> None:
    """It is in, as anything that a worker has; a retry that was refused at the door would be a job lost."""
    replace_stack(bare_broker, retries())
    ran: list[int] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=3, min_backoff=1, max_backoff=1)
    def job() -> None:
        ran.append(1)
        if len(ran) < 3:
            raise ValueError("not yet")

    job.send()
    replace_stack(bare_broker, Refuses(), retries())
    work(bare_broker, queue)

    assert len(ran) == 3


def test_a_guard_without_a_check_costs_a_sender_nothing() -> None:
    """Brokers that leave out Dramatiq's empty hooks leave it out."""
    assert Silent.before_enqueue is Middleware.before_enqueue
    assert Outspoken.before_enqueue is not Middleware.before_enqueue


def test_a_guard_made_of_one_without_a_check_is_asked(bare_broker: dramatiq.Broker) -> None:
    """What a class leaves out its subclass may have."""
    replace_stack(bare_broker, Silent(), Outspoken())
    queue = f"q{uuid4().hex}"
    job = dramatiq.actor(broker=bare_broker, queue_name=queue, actor_name="job")(print)

    assert job.send().options["asked"]
