"""The parts of a worker's life cycle that one process can show."""

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from app.bootstrap.worker.heartbeat import Heartbeat
from app.run.probe import examine
from middleware import Deadlines, Draining
from tests.middleware.eventually import eventually

ROOT = Path(__file__).resolve().parents[4]


def run(script: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process of its own: what is set up here is the whole process's."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_folder_that_cannot_be_written_to_stops_no_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a read-only file system: it is logged, once however often it beats, and jobs are done."""
    (tmp_path / "file").touch()
    broker = StubBroker(middleware=[])
    deadlines, draining = Deadlines(), Draining()
    heart = Heartbeat(tmp_path / "file" / "ready", deadlines=deadlines, draining=draining, every_s=0.01)
    for each in (heart, deadlines, draining):
        broker.add_middleware(each)
    done: list[int] = []

    @dramatiq.actor(broker=broker)
    def job(number: int) -> None:
        done.append(number)

    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    with caplog.at_level(logging.WARNING, logger="app.bootstrap.worker.heartbeat"):
        worker.start()
        for number in range(20):
            job.send(number)
        assert eventually(lambda: len(done) == 20)
        worker.stop()

    assert len([each for each in caplog.records if "No heartbeat can be kept" in each.getMessage()]) == 1


def test_a_worker_whose_calls_fail_is_not_well_to_a_probe(tmp_path: Path) -> None:
    """The broker says so, and a probe says what."""

    class Failing(StubBroker):
        unwell = "fetching fails, although the server answers"

    deadlines, draining = Deadlines(), Draining()
    heart = Heartbeat(tmp_path, deadlines=deadlines, draining=draining, every_s=0.01)
    worker = dramatiq.Worker(Failing(middleware=[heart, deadlines, draining]), worker_threads=1)
    worker.start()
    reasons = examine(tmp_path, expected=1, readiness=False).reasons
    worker.stop()

    assert [each.partition(": ")[2] for each in reasons] == [Failing.unwell]


def test_an_error_of_the_main_thread_is_reported_without_its_text() -> None:
    """Class and fingerprint in one line of JSON, instead of a traceback that quotes values."""
    done = run("""
        from app.bootstrap.worker.lifecycle import watch_uncaught_errors
        from middleware import configure_logging
        configure_logging()
        watch_uncaught_errors()
        raise LookupError("hunter2")
    """)

    assert done.returncode == 1
    (row,) = done.stderr.splitlines()
    assert '"error_class": "LookupError"' in row
    assert '"error_fingerprint": "' in row
    assert "hunter2" not in done.stderr


def test_spans_that_wait_are_sent_before_the_end() -> None:
    """Where an OpenTelemetry SDK is configured; without one there is nothing to do."""
    done = run("""
        from app.bootstrap.worker.lifecycle import flush_traces
        assert flush_traces(1.0)

        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
        trace.set_tracer_provider(provider)
        trace.get_tracer("test").start_span("one").end()
        assert exporter.get_finished_spans() == ()
        assert flush_traces(5.0)
        assert [span.name for span in exporter.get_finished_spans()] == ["one"]
    """)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_of_dramatiqs_command_is_asked_after_the_drain_began() -> None:
    """Its workers define it in their main function; it goes on doing what it does."""
    done = run("""
        import signal, types
        import dramatiq
        from dramatiq import cli
        from dramatiq.brokers.stub import StubBroker
        from app.bootstrap.worker.lifecycle import Lifecycle
        from middleware import Draining

        constants = cli.worker_process.__code__.co_consts
        (code,) = [each for each in constants if isinstance(each, types.CodeType) and "signum" in each.co_varnames]
        cells = tuple(types.CellType() for _ in code.co_freevars)
        handler = types.FunctionType(code, vars(cli), "termhandler", None, cells)
        signal.signal(signal.SIGTERM, handler)
        lifecycle = Lifecycle(Draining())
        broker = StubBroker(middleware=[lifecycle])
        lifecycle.before_worker_boot(broker, dramatiq.Worker(broker))
        assert signal.getsignal(signal.SIGTERM) is not handler
    """)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_of_whoever_embeds_a_worker_stays() -> None:
    """It is theirs to say what a signal means to their process."""
    done = run("""
        import signal
        import dramatiq
        from dramatiq import cli
        from dramatiq.brokers.stub import StubBroker
        from app.bootstrap.worker.lifecycle import Lifecycle
        from middleware import Draining

        def mine(number, frame): ...

        signal.signal(signal.SIGTERM, mine)
        lifecycle = Lifecycle(Draining())
        broker = StubBroker(middleware=[lifecycle])
        lifecycle.before_worker_boot(broker, dramatiq.Worker(broker))
        assert signal.getsignal(signal.SIGTERM) is mine
    """)

    assert (done.returncode, done.stderr) == (0, "")
