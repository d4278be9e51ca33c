"""What has to be put right in Dramatiq's worker: its memory of fetched messages, and its threads."""

import logging

from dramatiq import Worker
from dramatiq.common import iter_queue

logger = logging.getLogger(__name__)


def drop_ended(worker: Worker) -> None:
    """Take what is not ours any more out of the worker's memory."""
    for item in list(iter_queue(worker.work_queue)):  # type: ignore[no-untyped-call]
        lease = getattr(item.message, "lease", None)
        if lease is None or lease.outcome is None:
            worker.work_queue.put(item)
        worker.work_queue.task_done()


def replace_dead_threads(worker: Worker) -> None:
    """Start a thread for each that died: an interrupt inside an ack ends one, and nobody else would notice."""
    for thread in [each for each in worker.workers if not each.is_alive() and each.running]:
        worker.workers.remove(thread)
        worker._add_worker()
        logger.warning("A worker thread had died; another one works in its place.")
