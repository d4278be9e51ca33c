"""The guard that says whose each line is, and keeps out what was in the message."""

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dramatiq
import pytest
import structlog
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker

from app.embedded import Servers
from middleware.logs.format import configure_logging
from middleware.logs.guard import LogContext
from middleware.logs.redaction import LogRedaction
from tests.middleware.attempt_outcomes import FATES, Faulty, send_to, watched
from tests.middleware.brokers import work
from tests.middleware.logs.log_lines import Lines, configured

SECRET = "correct-horse-battery-staple"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

#: What the `dramatiq` command runs: a job that logs, and says when it is over by stopping its own worker.
PROGRAM = """
import logging, os, signal
import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from middleware.logs.guard import LogContext
from middleware.logs.format import configure_logging
from middleware.retries import Retries

stack = [LogContext(configure=configure_logging), Retries(max_retries=0)]
broker = RedisBroker(url={url!r}, namespace={namespace!r}, middleware=stack)
dramatiq.set_broker(broker)

@dramatiq.actor
def job(secret):
    logging.getLogger("job").info("from the standard library")
    structlog.get_logger("job").info("from structlog", rows=3)
    os.kill(os.getppid(), signal.SIGTERM)
    raise ValueError(secret)
"""


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log as JSON, with everything down to DEBUG."""
    with configured() as lines:
        yield lines


def test_every_row_of_an_attempt_says_whose_it_is(bare_broker: dramatiq.Broker, lines: Lines) -> None:
    """Lines of structlog and of the standard library, the job's and Dramatiq's, carry the ids."""
    watched(bare_broker, LogContext())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        logging.getLogger("anybody").info("standard %s", "line", extra={"rows": 3})
        structlog.get_logger("anybody").info("structlog line", rows=4)

    message = job.send_with_options(org="acme", traceparent=TRACEPARENT)
    work(bare_broker, queue)

    of_job = {
        "message_id": message.message_id,
        "actor": "job",
        "queue": queue,
        "attempt": 1,
        "org": "acme",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    for event, more in (("standard line", {"rows": 3}), ("structlog line", {"rows": 4})):
        (row,) = lines.with_event(event)
        assert of_job.items() <= row.items()
        assert more.items() <= row.items()
        assert {"timestamp", "level", "logger"} <= row.keys()
    (row,) = [each for each in lines.with_event("Acknowledging message") if "actor" in each]
    assert of_job.items() <= row.items()


def test_what_a_job_binds_ends_with_it(bare_broker: dramatiq.Broker, lines: Lines) -> None:
    """The next job of a thread starts with nothing of the one before."""
    watched(bare_broker, LogContext())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job(name: str) -> None:
        structlog.get_logger().info("before")
        structlog.contextvars.bind_contextvars(customer=name)
        structlog.get_logger().info("after")

    job.send("first")
    job.send("second")
    work(bare_broker, queue)

    assert [each for each in lines.with_event("before") if "customer" in each] == []
    assert {each["customer"] for each in lines.with_event("after")} == {"first", "second"}
    assert "actor" not in lines.with_event("Worker has been shut down")[0]


def test_what_an_attempt_without_an_end_bound_is_gone_too() -> None:
    """Where an interrupt kept an attempt's last hooks from running, the next begins with its own ids alone."""
    guard, broker = LogContext(), StubBroker(middleware=[])
    first, second = (
        MessageProxy(
            dramatiq.Message(
                queue_name="q", actor_name="a", args=(), kwargs={}, options=options, message_id=id_
            )
        )
        for id_, options in (("1", {"org": "acme"}), ("2", {}))
    )

    guard.before_process_message(broker, first)
    guard.before_process_message(broker, second)
    bound = structlog.contextvars.get_contextvars()
    guard.before_ack(broker, second)
    guard.after_ack(broker, second)

    assert bound == {"message_id": "2", "actor": "a", "queue": "q", "attempt": 1}
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("fate", ["succeeded", "failed", "retried", "parked", "skipped"])
def test_each_attempt_leaves_one_row(bare_broker: dramatiq.Broker, lines: Lines, fate: str) -> None:
    """It says how the attempt ended and how long it took."""
    watched(bare_broker, LogContext())

    message = send_to(bare_broker, FATES[fate])
    work(bare_broker, message.queue_name)

    reported = [each for each in lines.objects if each["logger"] == "middleware.logs.guard"]
    assert tuple(each["outcome"] for each in reported) == FATES[fate].outcomes
    assert all(each["duration_ms"] >= 0 and each["level"] == "info" for each in reported)
    assert all(each["message_id"] == message.message_id for each in reported)


def test_that_row_can_be_done_without(bare_broker: dramatiq.Broker, lines: Lines) -> None:
    """`log_attempts=False` writes none."""
    watched(bare_broker, LogContext(log_attempts=False))

    work(bare_broker, send_to(bare_broker, FATES["succeeded"]).queue_name)

    assert [each for each in lines.objects if each["logger"] == "middleware.logs.guard"] == []


def test_a_failure_is_logged_without_its_text(bare_broker: dramatiq.Broker, lines: Lines) -> None:
    """Dramatiq's own line about it names message, class, category, fingerprint and places, and quotes nothing."""
    watched(bare_broker, LogContext())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=0)
    def job(secret: str) -> None:
        try:
            os.environ[secret]
        except KeyError:
            raise ValueError(f"bad {secret}")  # noqa: B904  # a careless job

    message = job.send(SECRET)
    work(bare_broker, queue)

    (row,) = lines.with_event("Failed to process message")
    assert row["event"] == f"Failed to process message job[{message.message_id}] with unhandled exception."
    assert (row["error_class"], row["error_category"]) == ("ValueError", "unknown")
    assert len(row["error_fingerprint"]) == 12
    *_, raised, cause, _, _ = row["traceback"]
    assert raised.endswith(f"{job.fn.__code__.co_firstlineno + 5} in {job.fn.__qualname__}")
    assert cause.startswith("because of KeyError [unknown ")
    assert "error_text" not in row
    assert SECRET not in lines.text


def test_the_text_of_an_error_with_a_category_is_kept(bare_broker: dramatiq.Broker, lines: Lines) -> None:
    """Whoever gave an error class a category saw to its text."""
    watched(bare_broker, LogContext())

    work(bare_broker, send_to(bare_broker, FATES["failed"]).queue_name)

    (row,) = lines.with_event("Failed to process message")
    assert (row["error_class"], row["error_text"]) == (f"{Faulty.__module__}.Faulty", "no")


def test_a_plain_formatter_gets_the_same_redaction(bare_broker: dramatiq.Broker) -> None:
    """Handlers that somebody else set up, as the `dramatiq` command does, see records that are clean already."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    watched(bare_broker, LogContext())
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue, max_retries=0)
    def job(secret: str) -> None:
        raise ValueError(secret)

    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        message = job.send(SECRET)
        work(bare_broker, queue)
    finally:
        root.setLevel(before)
        root.removeHandler(handler)

    text = stream.getvalue()
    assert f"ERROR Failed to process message job[{message.message_id}] with unhandled exception.\n" in text
    assert "ValueError [unknown " in text
    assert "Received its arguments." in text
    assert SECRET not in text


def test_lines_to_read_have_the_same_in_them(bare_broker: dramatiq.Broker) -> None:
    """`json=False` is for a terminal and as careful."""
    with configured(as_json=False) as lines:
        watched(bare_broker, LogContext())
        message = send_to(bare_broker, FATES["failed"], SECRET)
        work(bare_broker, message.queue_name)

    assert message.message_id in lines.text
    assert f"{Faulty.__module__}.Faulty" in lines.text
    assert SECRET not in lines.text


def test_after_the_worker_the_process_logs_as_before(bare_broker: dramatiq.Broker) -> None:
    """The redaction begins when a worker boots and ends when it has shut down."""
    factory = logging.getLogRecordFactory()
    watched(bare_broker, LogContext())
    seen: list[object] = []
    queue = f"q{uuid4().hex}"

    @dramatiq.actor(broker=bare_broker, queue_name=queue)
    def job() -> None:
        seen.append(logging.getLogRecordFactory())

    job.send()
    work(bare_broker, queue)

    assert isinstance(seen[0], LogRedaction)
    assert logging.getLogRecordFactory() is factory


def test_logging_is_set_up_when_a_worker_process_starts() -> None:
    """`configure` runs once per process, before messages, and not where jobs are only sent."""
    calls: list[str] = []
    broker = StubBroker(middleware=[LogContext(configure=lambda: calls.append("configured"))])
    assert calls == []

    broker.emit_after("process_boot")

    assert calls == ["configured"]


def test_what_kills_a_thread_is_logged_without_its_text(lines: Lines) -> None:
    """Python would print the traceback of a dead thread, text and all, between the lines."""

    def die() -> None:
        raise ValueError(SECRET)

    thread = threading.Thread(target=die, name="the thread")
    thread.start()
    thread.join()

    (row,) = lines.with_event("the thread died.")
    assert row["error_class"] == "ValueError"
    assert SECRET not in lines.text


def test_a_message_as_a_field_is_named(lines: Lines) -> None:
    """Also structlog's fields never hold a payload."""
    message: dramatiq.Message[object] = dramatiq.Message(
        queue_name="q", actor_name="job", args=(SECRET,), kwargs={}, options={}
    )

    structlog.get_logger().info("sent", message=message)
    try:
        int(SECRET)
    except ValueError:
        structlog.get_logger().exception("no")

    assert lines.with_event("sent")[0]["message"] == f"job[{message.message_id}]"
    assert lines.with_event("no")[0]["error_class"] == "ValueError"
    assert SECRET not in lines.text


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--skip-logging"]], ids=["default", "skip-logging"])
def test_it_works_under_the_dramatiq_command(servers: Servers, tmp_path: Path, options: list[str]) -> None:
    """The command sets logging up by itself, before it loads the broker; its workers' lines are JSON all the same."""
    namespace = uuid4().hex
    program = PROGRAM.format(url=servers.redis_url, namespace=namespace)
    (tmp_path / "program.py").write_text(program)
    script = f"import program; program.job.send({SECRET!r})"
    environment = {
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}",
        "PATH": str(Path(sys.executable).parent),
    }
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)

    command = [sys.executable, "-m", "dramatiq", "program", "--processes", "1", "--threads", "1", *options]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    lines = Lines()
    lines.stream.write("\n".join(row for row in ended.stderr.splitlines() if row.startswith("{")))
    (standard,) = lines.with_event("from the standard library")
    (structured,) = lines.with_event("from structlog")
    assert standard["message_id"] == structured["message_id"]
    assert structured["rows"] == 3
    assert lines.with_event("Failed to process message")[0]["error_class"] == "ValueError"
    assert SECRET not in ended.stdout + ended.stderr
    plain = [row for row in ended.stderr.splitlines() if row and not row.startswith("{")]
    # Only the command's own parent process, which loads no broker, writes its way, unless it is told not to.
    assert all("[MainProcess]" in row or "dramatiq.MainProcess" in row for row in plain)
    assert bool(plain) is not bool(options)


def test_configuring_twice_writes_once(lines: Lines) -> None:
    """The last configuration is the one that holds."""
    configure_logging(level="INFO", stream=lines.stream)

    logging.getLogger("anybody").info("once")
    logging.getLogger("anybody").debug("not at all")

    assert len(lines.with_event("once")) == 1
    assert lines.with_event("not at all") == []
