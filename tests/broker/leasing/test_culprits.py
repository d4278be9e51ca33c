"""What cannot be told of one message's end is that message's alone: the others' ends, retries and next steps arrive."""

from typing import Any
from uuid import uuid4

import dramatiq
import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, Retries

from broker import FairRedisBroker, OrgShare
from broker.keys import record_of
from broker.leasing.lease import LeasedMessage, Sent
from tests.broker.conftest import MakeBroker
from tests.broker.workers import run_all
from tests.middleware.eventually import eventually

pytestmark = pytest.mark.slow

#: No script takes it, whoever hands it on.
BEYOND_MS = 10**20


class TakesAlong(Middleware):
    """Has the end of each message of `evil` take something along that no encoder makes."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent

    def after_process_message(self, broker: dramatiq.Broker, message: MessageProxy, **_: Any) -> None:
        if message.actor_name == "evil" and isinstance(message, LeasedMessage):
            message.lease.carried.append(self._sent)


@pytest.mark.parametrize("message_id", ["evil", "\ud800"])
def test_an_end_that_cannot_be_reported_loses_nobodys_retry(
    new_broker: MakeBroker, raw: "redis.Redis", message_id: str
) -> None:
    """What it takes along is a dead letter, whole; all others are tried again and done."""
    record = record_of("default", "evil", "evil:0", "u1", b"whatever it is")
    evil_end = TakesAlong(Sent(message_id, uuid4().hex, BEYOND_MS, "", record))
    fair = new_broker(middleware=[Retries(min_backoff=1, max_backoff=5), evil_end])
    tried: dict[int, int] = {}

    @dramatiq.actor(broker=fair, max_retries=5)
    def flaky(number: int) -> None:
        tried[number] = tried.get(number, 0) + 1
        if tried[number] < 3:
            raise ValueError("again, please")

    @dramatiq.actor(broker=fair)
    def evil() -> None: ...

    for number in range(60):
        flaky.send_with_options(args=(number,), org=f"org{number % 3}")
        if number % 10 == 0:
            evil.send()
    run_all(fair, threads=4)

    assert list(tried.values()) == [3] * 60
    assert record in raw.hvals(f"{fair.base}:xm:default")


def test_an_entry_without_a_message_takes_no_slot(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """Its org's next one runs, although the org may have one at a time."""
    ran: list[int] = []
    actor = dramatiq.actor(broker=fair)(ran.append)
    fair.configure_orgs({"acme": OrgShare(max_active=1)})
    actor.send_with_options(args=(1,), org="acme")
    [lane] = raw.keys(f"{fair.base}:l:default:acme:*")
    for number in range(3):
        raw.lpush(lane, f"1|gone{number}")
    run_all(fair)

    assert ran == [1]
    assert eventually(lambda: raw.hlen(f"{fair.base}:a") == 0)
    assert sorted(raw.hkeys(f"{fair.base}:xm:default")) == [b"gone0", b"gone1", b"gone2"]


def test_a_record_of_another_lane_takes_no_slot(fair: FairRedisBroker, raw: "redis.Redis") -> None:
    """It is a dead letter with its bytes, and the org in whose lane it stood goes on."""
    ran: list[int] = []
    actor = dramatiq.actor(broker=fair)(ran.append)
    fair.configure_orgs({"acme": OrgShare(max_active=1)})
    odd = actor.send_with_options(args=(1,), org="acme")
    stored = raw.hget(f"{fair.base}:m", odd.message_id)
    assert isinstance(stored, bytes)
    foreign = stored.replace(b"\nacme\n", b"\nglobex\n", 1)
    raw.hset(f"{fair.base}:m", odd.message_id, foreign)
    actor.send_with_options(args=(2,), org="acme")
    run_all(fair)

    assert ran == [2]
    letters: list[Any] = raw.hvals(f"{fair.base}:xm:default")
    assert [each.endswith(foreign) for each in letters] == [True]
