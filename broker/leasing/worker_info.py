"""What a worker publishes about itself, for whoever inspects the fleet."""

import json
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import redis

from ..scripts import Script

#: Seconds between two publications: what they say changes slowly.
EVERY_S = 10.0

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PUBLISH = Script("publish_worker")


class WorkerInfo:
    """The registration of one worker, renewed every ten seconds.

    State: when it was published last, and whether the worker was well; for the session's timer alone.

    Parameters:
        worker_id: whose.
        threads: jobs that it runs at once.
        facts: more that is worth knowing, such as a version and a region.
    """

    def __init__(self, worker_id: str, threads: int, facts: Mapping[str, str]) -> None:
        self._worker_id = worker_id
        self._published_s = -math.inf
        self._unwell: str | None = None
        self._fixed: dict[str, object] = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "threads": threads,
            "started_ms": time.time_ns() // 1_000_000,
            **facts,
        }

    def publish(
        self, client: "redis.Redis", base: str, queues: Iterable[str], unwell: str | None = None
    ) -> None:
        """Publish what is known of the worker, unless that was done a moment ago.

        Parameters:
            client: of the server.
            base: the shard's base key.
            queues: that it serves.
            unwell: which of its calls fail; published at once when it begins or ends. Default None: none.

        Raises:
            BrokerError: the server does not answer, or refuses.
        """
        is_new = (unwell is None) != (self._unwell is None)
        if not is_new and time.monotonic() - self._published_s < EVERY_S:
            return
        reported = {**self._fixed, "queues": sorted(queues), "rss_bytes": rss_bytes(), "unwell": unwell}
        _PUBLISH(client, base, [self._worker_id, json.dumps(reported)])
        self._published_s, self._unwell = time.monotonic(), unwell


def rss_bytes(pid: int | None = None) -> int | None:
    """Memory that a process has in use; None where the system does not say.

    Parameters:
        pid: which. Default None: this one.
    """
    try:
        return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return None
