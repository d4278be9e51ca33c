"""The last word on a worker process: what its signals mean, what nobody caught, and how it ends."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from broker.supervisor.exit_codes import ExitCode
from broker.supervisor.stop_signal import on_stop_signal
from middleware import Draining, emit_counter
from middleware.base.stop_signals import SAME_REQUEST_S, is_of_dramatiqs_command
from middleware.logs.redaction import facts

#: Seconds in which telemetry is written at the end, all of it.
FLUSH_S = 5.0
#: What consumers may take to stop before that, in seconds.
CONSUMERS_S = 2.0

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

logger = logging.getLogger(__name__)


class Lifecycle(Middleware):
    """Stands outermost, so that it speaks last when a worker stops.

    The exit code of the process is 0 only when the stop was clean. It is 1 when the drain had to give up a job that
    could not be interrupted, when telemetry was not written within `flush_s`, and when a second signal asked for an
    end at once. Supervisors hand the code on.

    Errors that nobody caught, on any thread, are logged as one line without values, and counted as
    `uncaught_errors_total`; the worker goes on. A worker or consumer thread that died of one shows in the heartbeat.

    Parameters:
        draining: knows how the drain went, and is told of a signal at once.
        missing: settings without which no job can be done; a worker refuses to start, in one line. Default none.
        flush_s: seconds in which telemetry has to be written. Default 5.
        exit_process: ends the process, given the exit code. Default `os._exit`: a thread in C code would hold up
            an orderly end for ever.
    """

    def __init__(
        self,
        draining: Draining,
        *,
        missing: Sequence[str] = (),
        flush_s: float = FLUSH_S,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._draining = draining
        self._missing = missing
        self._flush_s = flush_s
        self._exit_process = exit_process
        self._ended = threading.Event()
        self._first_signal_s: float | None = None

    def after_process_boot(self, broker: Broker) -> None:
        # Before the worker boots: the broker then looks at its server.
        if self._missing:
            # No exception of ours: those are logged, and the worker boots all the same.
            sys.stderr.write(
                f"Error: {', '.join(self._missing)} not set and no `up` is running; see `python -m app doctor`\n"
            )
            # By this code a supervisor sees that trying again is no use.
            sys.exit(ExitCode.IMPORT)
        watch_uncaught_errors()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        on_stop_signal(lambda number: self._stop_requested())
        for number in _SIGNALS:
            theirs = signal.getsignal(number) if _in_main_thread() else None
            # Whoever embeds a worker has handlers of their own, and they stay.
            if callable(theirs) and is_of_dramatiqs_command(theirs):
                signal.signal(number, self._handler(theirs))

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if not _in_main_thread():
            return  # a process that is replaced ends by itself, with a code of its own
        self._ended.clear()
        threading.Thread(target=self._end_in_time, name="pressroom-ending", daemon=True).start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if not _in_main_thread():
            return
        late = [type(each).__name__ for each in broker.middleware if not getattr(each, "flushed", True)]
        if not flush_traces(self._flush_s):
            late.append("traces")
        if not self._draining.clean:
            self._end_unclean("drain", "jobs were given up that could not be interrupted")
        elif late:
            self._end_unclean("flush", f"not written in time: {', '.join(late)}")
        self._ended.set()

    def _end_in_time(self) -> None:
        self._draining.wait()
        if not self._ended.wait(CONSUMERS_S + self._flush_s):
            self._end_unclean("flush", f"telemetry was not written within {self._flush_s} s")

    def _handler(
        self, theirs: Callable[[int, FrameType | None], object]
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if self._stop_requested():
                theirs(number, frame)

        return handle

    def _stop_requested(self) -> bool:
        """Begin to drain, or end at once where that was asked for before; whether it is the first request."""
        now_s = time.monotonic()
        first = self._first_signal_s is None
        if self._first_signal_s is None:
            self._first_signal_s = now_s
            self._draining.begin()
        elif now_s - self._first_signal_s > SAME_REQUEST_S:
            self._end_unclean("signal", "a second signal asked for an end at once")
        return first

    def _end_unclean(self, cause: str, why: str) -> None:
        emit_counter("unclean_stops_total", {"cause": cause})
        logger.critical("This worker process did not stop cleanly: %s.", why)
        self._exit_process(ExitCode.UNCLEAN)


def watch_uncaught_errors() -> None:
    """Log and count what nobody caught, in this process, instead of printing it with its values."""

    def main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            _tell("main", "The main thread", error)

    def thread(death: threading.ExceptHookArgs) -> None:
        if death.exc_value is not None and not isinstance(death.exc_value, SystemExit):
            _tell("thread", death.thread.name if death.thread else "A thread", death.exc_value)

    def unraisable(problem: "sys.UnraisableHookArgs") -> None:
        if problem.exc_value is not None:
            _tell("unraisable", "A finalizer or callback", problem.exc_value)

    sys.excepthook = main_thread
    threading.excepthook = thread
    sys.unraisablehook = unraisable


def flush_traces(timeout_s: float) -> bool:
    """Have an OpenTelemetry SDK send what it holds, where one is configured; whether it did."""
    trace = sys.modules.get("opentelemetry.trace")
    flush = getattr(trace.get_tracer_provider(), "force_flush", None) if trace is not None else None
    return flush is None or bool(flush(int(timeout_s * 1_000)))


def _tell(source: str, where: str, error: BaseException) -> None:
    emit_counter("uncaught_errors_total", {"source": source})
    # The facts alone: the text of a foreign error may quote what it was given.
    logger.critical("%s raised what nobody caught.", where, extra=facts(error))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
