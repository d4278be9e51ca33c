"""A worker process: loads the actors, works until SIGTERM, and ends with an exit code for how that went.

An error of the modules that has `usage_error = True` is for the person who started the worker: its text is printed as
it is, each line of it behind `Error: `, and no traceback. A module may raise one for settings that cannot be used.
"""

import argparse
import importlib
import logging
import os
import random
import sys
import threading
from collections.abc import Sequence
from functools import reduce

from dramatiq import Broker, Worker, get_broker
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware

from ..announcements import announce_max_jobs_reached, announce_ready, announce_stopping, announce_to
from ..errors import NewerSchema, UnsafeServer, UnsupportedServer
from .death_reports import Probed, report_from
from .exit_codes import ExitCode
from .parent_death import end_with
from .probe import IsolatedRunTracker
from .stop_signal import StopSignal

_LOG_FORMAT = "[%(asctime)s] [PID %(process)d] [%(threadName)s] [%(name)s] [%(levelname)s] %(message)s"

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run one worker, on the main thread. Returns the exit code."""
    options = _parser().parse_args(arguments)
    stop = StopSignal()
    if options.announce_fd is not None:
        announce_to(options.announce_fd)
    if options.parent is not None:
        end_with(options.parent, within_s=options.drain_s + options.grace_s)
    random.seed()  # Jitter of several workers must not fall together.
    try:
        broker = load(options.modules)
    except Exception as error:
        if getattr(error, "usage_error", False):
            sys.stderr.write("".join(f"Error: {row}\n" for row in str(error).splitlines()))
            return ExitCode.IMPORT
        logging.basicConfig(format=_LOG_FORMAT)
        logger.critical("The modules of this worker cannot be loaded.", exc_info=True)
        return ExitCode.IMPORT
    # Only where the modules have not set it up themselves.
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    if stop.to_stop:
        return ExitCode.CLEAN
    if options.max_jobs is not None:
        broker.add_middleware(_MaxJobs(options.max_jobs))
    isolated = _prepare(broker, options)
    try:
        worker = Worker(broker, queues=set(options.queues) or None, worker_threads=options.threads)
        worker.start()
    except BrokerConnectionError as error:
        logger.critical("The broker cannot be reached: %s", error)
        return ExitCode.CONNECT
    except (NewerSchema, UnsafeServer, UnsupportedServer) as error:
        logger.critical("%s", error)
        return ExitCode.IMPORT
    threads = list(worker.workers)
    announce_ready()
    if isolated is None:
        stop.wait()
    if isolated is None or not isolated.ran_out(stop.wait_for):
        announce_stopping()
    return _stop(broker, worker, threads, int(options.drain_s * 1_000))


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
    """Decide who runs suspects; for a probe, what knows when it has nothing left to do."""
    if options.deaths_fd is not None:
        report_from(options.deaths_fd, broker)
        if isinstance(broker, Probed):
            broker.probe_only, broker.probe_elsewhere = options.probe, not options.probe
    if not options.probe:
        return None
    isolated = IsolatedRunTracker()
    broker.add_middleware(isolated)
    return isolated


class _MaxJobs(Middleware):
    """Counts the jobs that ran, and announces once that they are as many as may run."""

    def __init__(self, max_jobs: int) -> None:
        self._left = max_jobs
        self._lock = threading.Lock()

    def after_process_message(self, broker: Broker, message: MessageProxy, **outcome: object) -> None:
        with self._lock:
            self._left -= 1
            reached = self._left == 0
        if reached:
            announce_max_jobs_reached()


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
