"""The orderly end of a process that holds a job which cannot be stopped."""

import faulthandler
import logging
import re
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware.shutdown import Shutdown

from ..base.emit import emit_counter
from ..base.interrupts import DeadlineExceeded, Window

#: Exit code of a process that held a stuck job; no other of Dramatiq's or Python's own means this.
STUCK_EXIT_CODE = 79

#: How long consumers may take to hand back what they have fetched, in milliseconds.
_STOP_CONSUMERS_MS = 5_000

logger = logging.getLogger(__name__)


def log_stack(message: MessageProxy, thread_id: int) -> None:
    """Log where a thread is: files, lines and functions, never the value of anything."""
    logger.error(
        "Message %s of %s is stuck: it ran out of time and does not react. It is here:\n%s",
        message.message_id,
        message.actor_name,
        _stack_of(thread_id),
    )


@dataclass(frozen=True, eq=False)
class Replacement:
    """Charges stuck attempts, hands the rest back uncharged, and ends the process whatever happens meanwhile.

    Each step is bounded, and all of it runs on a thread of its own: should the message broker be away too, then
    the process ends regardless, and its messages come back as those of any dead worker do.

    Parameters:
      broker: Where the messages came from.
      worker: The one worker of this process.
      stuck: The messages whose attempts are charged, by thread id; their windows are abandoned already.
      others: What else is being worked on, by thread id.
      timeout_s: How long the others may take to end after they are interrupted.
    """

    broker: Broker
    worker: Worker
    stuck: Mapping[int, MessageProxy]
    others: Mapping[int, tuple[MessageProxy, Window]]
    timeout_s: float

    @property
    def longest_s(self) -> float:
        """How long it may take at most."""
        return 2 * self.timeout_s + _STOP_CONSUMERS_MS / 1_000

    def run(self, exit_process: Callable[[int], object]) -> None:
        """Replace the process. Returns only if `exit_process` does."""
        orderly = threading.Thread(target=self._hand_back, name="pressroom-replacement", daemon=True)
        orderly.start()
        orderly.join(self.longest_s)
        logger.critical("This process ends with code %d, to be replaced.", STUCK_EXIT_CODE)
        emit_counter("processes_replaced_total", {"cause": "stuck"})
        exit_process(STUCK_EXIT_CODE)

    def _hand_back(self) -> None:
        for thread in self.worker.workers:
            thread.stop()
        for _, window in self.others.values():
            window.interrupt(Shutdown)
        for message in self.stuck.values():
            self._charge(message)
        self._join_others()
        self._requeue([message for message, window in self.others.values() if window.abandon()])
        # Those that are left would only be waited for.
        self.worker.workers = [thread for thread in self.worker.workers if not thread.is_alive()]
        self.worker.stop(timeout=_STOP_CONSUMERS_MS)

    def _charge(self, message: MessageProxy) -> None:
        """What the worker's thread would have done, had the function raised."""
        error = DeadlineExceeded("the job did not react to the end of its time; its process was replaced")
        message.stuff_exception(error)
        self.broker.emit_after("process_message", message, exception=error)
        self.worker.consumers[message.queue_name].post_process_message(message)

    def _join_others(self) -> None:
        until_s = time.monotonic() + self.timeout_s
        for thread in self.worker.workers:
            if thread.ident not in self.stuck:
                thread.join(max(0.0, until_s - time.monotonic()))

    def _requeue(self, messages: list[MessageProxy]) -> None:
        by_queue = defaultdict(list)
        for message in messages:
            by_queue[message.queue_name].append(message)
        for queue_name, held in by_queue.items():
            self.worker.consumers[queue_name].requeue_messages(held)


def _stack_of(thread_id: int) -> str:
    # Not `sys._current_frames`: it can deadlock the interpreter with a thread that is being started.
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        threads = file.read().decode(errors="replace").split("\n\n")
    for each in threads:
        named = re.match(r"(?:Current t|T)hread 0x([0-9a-f]+)", each)
        if named is not None and int(named[1], 16) == thread_id:
            return each
    return "(not among the first hundred threads)"
