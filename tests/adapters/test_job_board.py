"""The job board: progress that anybody can read, and the flag that stops a job."""

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.job_board import JobBoard
from app.embedded import Servers
from domain.errors import Cancelled, DeadlineExceeded, InvalidInput


@pytest.fixture
def client(servers: Servers) -> Iterator[redis.Redis]:
    """A client of the real server."""
    with redis.Redis.from_url(servers.redis_url) as made:
        yield made


@pytest.fixture
def board(client: redis.Redis) -> JobBoard:
    """A board with keys of its own."""
    return JobBoard(client, prefix=uuid4().hex)


def test_a_job_is_seen_running_and_done(board: JobBoard) -> None:
    """Its line follows it from start to end."""
    job_id, org_id = uuid4(), uuid4()
    assert board.read(job_id) is None

    with board.run(job_id=job_id, org_id=org_id, actor="a", time_limit_ms=None) as run:
        run.progress(30, "half of it")
        seen = board.read(job_id)

    assert seen is not None
    assert (seen.org_id, seen.actor, seen.state, seen.percent) == (org_id, "a", "running", 30)
    done = board.read(job_id)
    assert done is not None
    assert (done.state, done.percent, done.attempts) == ("done", 100, 1)


def test_a_failure_tells_our_own_message_and_only_the_name_of_a_foreign_one(board: JobBoard) -> None:
    """Texts of foreign errors may quote secrets, so they are not shown."""
    ours, foreign = uuid4(), uuid4()

    with pytest.raises(InvalidInput), board.run(job_id=ours, org_id=uuid4(), actor="a", time_limit_ms=None):
        raise InvalidInput("choose another path")
    with pytest.raises(ValueError, match="hunter2"):  # noqa: SIM117
        with board.run(job_id=foreign, org_id=uuid4(), actor="a", time_limit_ms=None):
            raise ValueError("password hunter2 refused")

    lines = [board.read(ours), board.read(foreign)]
    assert [(line.state, line.note) for line in lines if line] == [
        ("failed", "choose another path"),
        ("failed", "ValueError"),
    ]


def test_attempts_are_counted(board: JobBoard) -> None:
    """A second attempt at a job begins its line anew and counts."""
    job_id = uuid4()
    for _ in range(2):
        with board.run(job_id=job_id, org_id=uuid4(), actor="a", time_limit_ms=None):
            pass

    line = board.read(job_id)
    assert line is not None
    assert line.attempts == 2


def test_a_cancelled_job_stops_at_its_next_checkpoint(board: JobBoard) -> None:
    """Also when it was cancelled before it started."""
    job_id = uuid4()
    board.cancel(job_id)

    with (
        pytest.raises(Cancelled),
        board.run(job_id=job_id, org_id=uuid4(), actor="a", time_limit_ms=None) as run,
    ):
        run.checkpoint()

    line = board.read(job_id)
    assert line is not None
    assert line.state == "cancelled"


def test_cancelling_one_job_leaves_the_others_alone(board: JobBoard) -> None:
    """The flag is the job's own."""
    board.cancel(uuid4())

    with board.run(job_id=uuid4(), org_id=uuid4(), actor="a", time_limit_ms=None) as run:
        run.checkpoint()


def test_a_job_whose_time_is_up_stops_at_its_next_checkpoint(client: redis.Redis) -> None:
    """The deadline is the time limit after the start; what is left counts down to zero."""
    now = [100.0]
    board = JobBoard(client, prefix=uuid4().hex, monotonic=lambda: now[0])

    with board.run(job_id=uuid4(), org_id=uuid4(), actor="a", time_limit_ms=2_000) as run:
        assert run.remaining_s() == 2.0
        run.checkpoint()
        now[0] = 103.0
        assert run.remaining_s() == 0.0
        with pytest.raises(DeadlineExceeded):
            run.checkpoint()


def test_a_job_without_a_limit_has_no_deadline(board: JobBoard) -> None:
    """None is for ever."""
    with board.run(job_id=uuid4(), org_id=uuid4(), actor="a", time_limit_ms=None) as run:
        assert run.remaining_s() is None


def test_lines_and_flags_expire(board: JobBoard, client: redis.Redis) -> None:
    """Nothing stays in Redis for ever."""
    job_id = uuid4()
    with board.run(job_id=job_id, org_id=uuid4(), actor="a", time_limit_ms=None):
        board.cancel(job_id)

    keys = list(client.scan_iter(f"*{job_id}*"))
    assert len(keys) == 2
    assert all(0 < client.ttl(key) <= 24 * 60 * 60 for key in keys)


def test_a_job_goes_on_while_nobody_can_watch_it(caplog: pytest.LogCaptureFixture) -> None:
    """Redis being away is logged; it neither fails nor stops the job."""
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere, caplog.at_level(logging.WARNING):
        board = JobBoard(nowhere)
        with board.run(job_id=uuid4(), org_id=uuid4(), actor="a", time_limit_ms=None) as run:
            run.progress(10, "x")
            run.checkpoint()

    assert "Cannot write the line" in caplog.text
    assert "Cannot tell whether" in caplog.text
