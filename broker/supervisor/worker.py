"""One worker process: loads the actors, works until it is told to stop, and says by its exit code how that went."""

import argparse
import ctypes
import importlib
import logging
import os
import random
import select
import signal
import sys
import threading
from collections.abc import Sequence
from functools import reduce
from types import FrameType
from typing import TypeVar

from dramatiq import Broker, Worker, get_broker
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware

from ..announcements import announce_ready, announce_spent, announce_stopping, announce_to
from ..server_check import UnsafeServer
from .death_reports import Probed, report_from
from .exit_codes import ExitCode
from .probe import IsolatedRunTracker

_LOG_FORMAT = "[%(asctime)s] [PID %(process)d] [%(threadName)s] [%(name)s] [%(levelname)s] %(message)s"

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Be one worker, on the main thread; the exit code."""
    options = _parser().parse_args(arguments)
    stop = StopSignal()
    if options.announce_fd is not None:
        announce_to(options.announce_fd)
    if options.parent is not None:
        end_with(options.parent, within_s=options.drain_s + options.grace_s)
    random.seed()  # Jitter of several workers must not fall together.
    try:
        broker = load(options.modules)
    except Exception:
        logging.basicConfig(format=_LOG_FORMAT)
        logger.critical("The modules of this worker cannot be loaded.", exc_info=True)
        return ExitCode.IMPORT
    # Only where the modules have not set it up themselves.
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    if stop.to_stop:
        return ExitCode.CLEAN
    if options.max_jobs is not None:
        broker.add_middleware(_Share(options.max_jobs))
    isolated = _prepare(broker, options)
    try:
        worker = Worker(broker, queues=set(options.queues) or None, worker_threads=options.threads)
        worker.start()
    except BrokerConnectionError:
        logger.critical("The broker cannot be reached.", exc_info=True)
        return ExitCode.CONNECT
    except UnsafeServer as error:
        logger.critical("%s", error)
        return ExitCode.IMPORT
    threads = list(worker.workers)
    announce_ready()
    if isolated is None:
        stop.wait()
    if isolated is None or not isolated.ran_out(stop.wait_for):
        announce_stopping()
    return _stop(broker, worker, threads, int(options.drain_s * 1_000))


class StopSignal:
    """Whether this process has been told to stop.

    SIGTERM tells it. SIGINT and SIGHUP reach a whole group from a terminal; they are the supervisor's to act on.
    """

    def __init__(self) -> None:
        self.to_stop = False
        # A pipe that the interpreter writes to, and no event: a handler may run while its own thread holds an event's
        # lock, and does not run at all while the main thread waits, where another thread got the signal or where it
        # came just before the wait began.
        self._read_fd, write_fd = os.pipe()
        for fd in (self._read_fd, write_fd):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._handle)

    def wait(self) -> None:
        """Until it is."""
        while not self.wait_for(None):
            pass

    def wait_for(self, timeout_s: float | None) -> bool:
        """Whether it is, before the time is over; any other signal ends the wait as well."""
        if not self.to_stop and select.select([self._read_fd], [], [], timeout_s)[0]:
            os.read(self._read_fd, 4_096)
        return self.to_stop

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.to_stop = True


def load(modules: Sequence[str]) -> Broker:
    """Import the modules and find the broker, as Dramatiq's command does.

    Parameters:
        modules: the first one may be `module:attribute`, a broker or a function that sets one up.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
        TypeError: what is there is no broker.
    """
    first, _, path = modules[0].partition(":")
    module = importlib.import_module(first)
    broker: object = None
    if path:
        try:
            broker = reduce(getattr, path.split("."), module)
        except AttributeError:
            raise ImportError(f"module {first} has no {path}") from None
        if callable(broker) and not isinstance(broker, Broker):
            broker()
            broker = None
    chosen = get_broker() if broker is None else broker
    if not isinstance(chosen, Broker):
        raise TypeError(f"{modules[0]} is no broker; name one, or a function that sets one up")
    chosen.emit_after("process_boot")
    for each in modules[1:]:
        importlib.import_module(each)
    return chosen


def _prepare(broker: Broker, options: argparse.Namespace) -> IsolatedRunTracker | None:
    """Say who runs suspects; for a probe, what knows when it has nothing left to do."""
    if options.deaths_fd is not None:
        report_from(options.deaths_fd, broker)
        if isinstance(broker, Probed):
            broker.probe_only, broker.probe_elsewhere = options.probe, not options.probe
    if not options.probe:
        return None
    isolated = IsolatedRunTracker()
    broker.add_middleware(isolated)
    return isolated


class _Share(Middleware):
    """Counts the jobs that ran, and tells the supervisor once that they are enough."""

    def __init__(self, max_jobs: int) -> None:
        self._left = max_jobs
        self._lock = threading.Lock()

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: _Result | None = None,
        exception: BaseException | None = None,
    ) -> None:
        with self._lock:
            self._left -= 1
            enough = self._left == 0
        if enough:
            announce_spent()


def _stop(broker: Broker, worker: Worker, threads: Sequence[threading.Thread], timeout_ms: int) -> int:
    worker.stop(timeout=timeout_ms)
    broker.close()
    if any(thread.is_alive() for thread in threads):
        logger.critical("This worker process did not stop cleanly: jobs still run after %d ms.", timeout_ms)
        logging.shutdown()
        # A thread in C code would hold up an orderly end for ever.
        os._exit(ExitCode.UNCLEAN)
    return ExitCode.CLEAN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="one-worker", description="Started by the supervisor; not for the shell."
    )
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--queues", nargs="+", default=[])
    parser.add_argument("--drain-s", type=float, required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--max-jobs", type=int)
    parser.add_argument("--announce-fd", type=int)
    parser.add_argument("--deaths-fd", type=int)
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--parent", type=int)
    return parser


_PR_SET_PDEATHSIG = 1
_EVERY_S = 1.0


def end_with(parent_pid: int, *, within_s: float) -> None:
    """Have this process get SIGTERM when its parent is gone, and end it when it has not ended `within_s` later.

    On Linux the kernel sends the signal at that moment; elsewhere a look each second does.

    Parameters:
        parent_pid: who started this process, as that one knew itself: it may be gone already.
        within_s: seconds it may take to drain; nobody else is left who would kill it.
    """
    if sys.platform == "linux":
        # Refused by some sandboxes; then the look each second is what there is.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(
        target=_watch, args=(parent_pid, within_s), name="pressroom-parent-watch", daemon=True
    ).start()


def _watch(parent_pid: int, within_s: float) -> None:
    nobody = threading.Event()
    while os.getppid() == parent_pid:
        nobody.wait(_EVERY_S)
    # A second one within moments is the same request to whoever handles it.
    os.kill(os.getpid(), signal.SIGTERM)
    nobody.wait(within_s)
    os._exit(1)
