"""`python -m app jobs why|waiting|priority`, `queues` and `workers`: what they print for people and for scripts."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from app.bootstrap.redis import NAMESPACE
from app.cli.jobs import jobs
from app.cli.queues import queues
from app.cli.workers import workers
from app.control import OperatorsOnly
from broker import FairRedisBroker
from domain.errors import InvalidInput, NotFound
from tests.app.cli.commands import Commands, as_operator
from tests.broker.inspection.inspection_helpers import send, serving

#: Each goes through servers and the whole command line; what the API promises is tested fast.
pytestmark = pytest.mark.slow


@pytest.fixture
def broker(commands: Commands) -> Iterator[FairRedisBroker]:
    """The platform's queues on the Redis that the commands use."""
    made = FairRedisBroker(url=os.environ["REDIS_URL"], namespace=NAMESPACE, middleware=[])
    yield made
    made.close()


def new_name() -> str:
    """Of a queue or host of the test's own, short enough for a table."""
    return uuid4().hex[:8]


def test_why_a_job_does_not_run(commands: Commands, broker: FairRedisBroker) -> None:
    """A sentence for people, with what else holds it back; every field for scripts."""
    org, other = str(commands.org_id), str(commands.other_id)
    queue = new_name()
    mine = send(broker, queue=queue, org=org, delay=60_000, priority=3)
    theirs = send(broker, queue=queue, org=other)

    reported = commands.json(jobs, "why", mine.message_id)
    people = commands.run(jobs, "why", mine.message_id).output
    refused = commands.run(jobs, "why", theirs.message_id)

    assert (reported["cause"], reported["queue"], reported["priority"]) == ("delayed", queue, 3)
    assert reported["reasons"][0]["until_ms"] > 0
    assert "Delayed until 20" in people
    assert isinstance(refused.exception, NotFound)
    assert "No worker serves" in commands.run(jobs, "why", theirs.message_id, as_=as_operator()).output
    assert "Delayed until 20" in commands.run(jobs, "show", mine.message_id).output
    assert commands.json(jobs, "show", mine.message_id)["why"]["cause"] == "delayed"


def test_waiting_jobs_are_listed(commands: Commands, broker: FairRedisBroker) -> None:
    """Those of the org, on a queue or on all."""
    org, queue = str(commands.org_id), new_name()
    due, later = send(broker, queue=queue, org=org), send(broker, queue=queue, org=org, delay=60_000)
    send(broker, queue=queue, org=str(commands.other_id))

    rows = commands.json(jobs, "waiting", "--queue", queue)

    assert [(each["message_id"], each["state"]) for each in rows] == [
        (due.message_id, "ready"),
        (later.message_id, "delayed"),
    ]
    assert {each["message_id"] for each in commands.json(jobs, "waiting")} == {
        due.message_id,
        later.message_id,
    }
    assert later.message_id in commands.run(jobs, "waiting", "--actor", "resize").output
    assert "No job waits." in commands.run(jobs, "waiting", "--actor", "x").output


def test_a_job_gets_another_priority(commands: Commands, broker: FairRedisBroker) -> None:
    """Which may be below 0; with a reason, which is kept."""
    mine = send(broker, queue=new_name(), org=str(commands.org_id), delay=60_000)

    done = commands.json(jobs, "priority", mine.message_id, "-60", "--reason", "a person waits")
    refused = commands.run(jobs, "priority", mine.message_id, "5000", "--reason", "why")

    assert done == {"message_id": mine.message_id, "job_id": mine.message_id, "priority": -60}
    assert commands.json(jobs, "why", mine.message_id)["priority"] == -60
    assert isinstance(refused.exception, InvalidInput)
    target = f"job_id={mine.message_id} priority=-60"
    assert commands.audited("jobs.set_priority", target) == [("a person waits", commands.org_id)]


def test_queues_are_shown_with_what_waits(commands: Commands, broker: FairRedisBroker) -> None:
    """How much, for how long, for what; and lane by lane."""
    org, queue = str(commands.org_id), new_name()
    for _ in range(2):
        message = send(broker, queue=queue, org=org, concurrency=("a.org", 1))
    broker.park(message.copy(message_id=uuid4().hex), delay_ms=60_000, cause="ai is down", key="breaker:ai")

    shown = commands.json(queues, "show", queue, as_=as_operator())
    listed = commands.run(queues, "list", as_=as_operator()).output
    (lane,) = commands.json(queues, "lanes", queue)

    assert (shown["depth"]["ready"], shown["depth"]["parked"]) == (2, 1)
    assert shown["parked_by_cause"] == {"breaker": 1}
    assert "1 breaker" in listed
    assert (lane["org"], lane["actor"], lane["key"], lane["length"]) == (org, "resize", "a.org", 2)
    assert "a.org" in commands.run(queues, "lanes", queue).output
    assert "1 breaker" in commands.run(queues, "show", queue, as_=as_operator()).output


def test_cleaning_only_counts_unless_it_is_meant(commands: Commands, broker: FairRedisBroker) -> None:
    """An org's own, with a reason that is kept."""
    queue = new_name()
    for org_id in (commands.org_id, commands.org_id, commands.other_id):
        send(broker, queue=queue, org=str(org_id))

    counted = commands.run(queues, "clean", queue, "--reason", "by mistake")
    nothing = commands.json(queues, "clean", queue, "--yes", "--older-than", "1h", "--reason", "by mistake")
    delayed = commands.json(queues, "clean", queue, "--yes", "--state", "delayed", "--reason", "by mistake")
    done = commands.json(queues, "clean", queue, "--yes", "--actor", "resize", "--reason", "by mistake")

    assert "Would drop 2 jobs" in counted.output
    assert nothing["dropped"] == delayed["dropped"] == 0
    assert done == {"queue": queue, "dropped": 2, "found": 2}
    assert broker.do_qsize(queue) == 1
    assert "Dropped 1 jobs" in commands.run(queues, "clean", queue, "--yes", as_=as_operator()).output


def test_workers_are_shown_and_made_quiet(commands: Commands, broker: FairRedisBroker) -> None:
    """By operators alone."""
    host = new_name()
    worker_id = serving(broker, "exports", host=host, region="eu", rss_bytes=150_000_000)
    place = f"{host}:7"

    (listed,) = [each for each in commands.json(workers, "list", as_=as_operator()) if each["host"] == host]
    quiet = commands.json(workers, "quiet", place, as_=as_operator())
    people = commands.run(workers, "list", as_=as_operator()).output
    resumed = commands.run(workers, "resume", worker_id, as_=as_operator())

    assert (listed["id"], listed["place"], listed["queues"], listed["quiet"]) == (
        worker_id,
        place,
        ["exports"],
        False,
    )
    assert quiet == {"worker_id": worker_id, "quiet": worker_id}
    (row,) = [row for row in people.splitlines() if place in row]
    assert all(word in row for word in ("eu", "exports", "150", "quiet"))
    assert f"{place} fetches again" in resumed.output
    assert isinstance(commands.run(workers, "quiet", "x", as_=as_operator()).exception, NotFound)
    assert isinstance(commands.run(workers, "list").exception, OperatorsOnly)
