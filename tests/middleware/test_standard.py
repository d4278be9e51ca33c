"""All guards at once: a stack that works as it is, and in which every part can be replaced or left out by name."""

import subprocess
import sys
from uuid import UUID, uuid4

import dramatiq
import pytest
import redis
from dramatiq.middleware import AsyncIO, Middleware
from pydantic import BaseModel

from middleware import Contracts, Draining, Guard, OrgLimits, RegionConcurrency, Retries, standard_guards
from middleware.base.stack import check_order
from middleware.dead_letters.redis import RedisDeadLetterStore
from middleware.org_limits.memory import MemoryOrgLimitsStore
from tests.middleware.brokers import replace_stack, work

STANDARD = [
    "Metrics",
    "History",
    "DeadLetters",
    "Contracts",
    "Cancellation",
    "Pauses",
    "CircuitBreakers",
    "Idempotency",
    "OrgLimits",
    "Cron",
    "Progress",
    "Deadlines",
    "Draining",
    "CurrentMessage",
    "Callbacks",
    "Pipelines",
    "Retries",
]


class Resize(BaseModel):
    """A contract."""

    org_id: UUID
    image: int
    idempotency_key: str | None = None


def test_a_job_runs_a_duplicate_is_skipped_and_a_failure_is_kept(
    bare_broker: dramatiq.Broker, redis_client: redis.Redis
) -> None:
    """On any broker, with nothing said but where Redis is."""
    replace_stack(bare_broker, *standard_guards(redis_client, retries=Retries(max_retries=0)))
    org, queue, resized = uuid4(), f"q{uuid4().hex}", list[int]()

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def resize(job: Resize) -> None:
        if job.image < 0:
            raise ValueError("no such image")
        resized.append(job.image)

    for image, key in ((1, None), (7, "order-17"), (7, "order-17"), (-1, None)):
        resize.send(Resize(org_id=org, image=image, idempotency_key=key))
    work(bare_broker, queue)

    assert sorted(resized) == [1, 7]
    (letter,) = RedisDeadLetterStore(redis_client).of_org(str(org)).list()
    assert (letter.actor, letter.error_class) == ("resize", "ValueError")


def test_it_has_every_guard_that_needs_nothing_but_redis(redis_client: redis.Redis) -> None:
    """In the order that works."""
    made = standard_guards(redis_client)

    assert _names(made) == STANDARD
    check_order(made)


def test_a_part_is_replaced_by_its_name(redis_client: redis.Redis) -> None:
    """And stands where what it replaces stood."""
    limits, retries = OrgLimits(MemoryOrgLimitsStore()), Retries(max_retries=5)

    made = standard_guards(redis_client, retries=retries, org_limits=limits)

    assert _names(made) == STANDARD
    assert limits in made
    assert made[-1] is retries


def test_a_part_is_left_out_by_its_name(redis_client: redis.Redis) -> None:
    """Any number of them."""
    made = standard_guards(redis_client, without=("cron", "metrics"))

    assert _names(made) == [name for name in STANDARD if name not in ("Cron", "Metrics")]


def test_what_has_to_be_configured_is_there_when_it_is_given(redis_client: redis.Redis) -> None:
    """In its place, as everything else."""
    made = standard_guards(
        redis_client, async_io=AsyncIO(), region_concurrency=RegionConcurrency(max_concurrency=3)
    )

    names = _names(made)
    assert set(names) - set(STANDARD) == {"AsyncIO", "RegionConcurrency"}
    assert names.index("RegionConcurrency") < names.index("Deadlines") < names.index("AsyncIO")


@pytest.mark.parametrize("without", [(), ("croon",)])
def test_an_unknown_name_is_refused_with_the_names_there_are(
    redis_client: redis.Redis, without: tuple[str, ...]
) -> None:
    """A misspelt part is an error of types, too: a checker reports it where this comment stands."""
    with pytest.raises(ValueError, match=r"no part (croon, )?retrys; the parts are metrics, .*retries, "):
        standard_guards(redis_client, without=without, retrys=Retries())  # type: ignore[call-arg]


def test_a_part_cannot_be_given_and_left_out(redis_client: redis.Redis) -> None:
    """Whoever says both means something else."""
    with pytest.raises(ValueError, match="draining cannot be given and be left out"):
        standard_guards(redis_client, draining=Draining(), without={"draining"})


def test_guards_of_ones_own_are_sorted_in(redis_client: redis.Redis) -> None:
    """By `in_order`, or wherever a broker puts what is added."""

    class Curfew(Guard):
        """Says nothing about where it stands."""

    made = [*standard_guards(redis_client), Curfew()]

    check_order(made)
    assert isinstance(made[3], Contracts)


def test_whoever_does_not_call_it_needs_no_redis() -> None:
    """The library loads where the client is not installed."""
    code = "import sys; sys.modules['redis'] = None; import middleware"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _names(stack: list[Middleware]) -> list[str]:
    return [type(each).__name__ for each in stack]
