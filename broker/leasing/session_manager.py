"""Opens and ends worker sessions: from the first `consume`, anew after a fork, until the worker is shut down."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import redis
from dramatiq import Worker

from ..clients import client_like, never_twice
from .dramatiq_worker import FairWorkQueue
from .lease import Lease
from .session import WorkerSession

#: A connection on which consumers wait is given up after so many seconds without an answer: longer than any wait, so
#: that one which died without a word is noticed.
WAITING_TIMEOUT_S: Final = 7.0

#: Opens a session: with the client for calls, the one for waits, and Dramatiq's worker where there is one.
OpenSession = Callable[["redis.Redis", "redis.Redis", Worker | None], WorkerSession]


class SessionManager:
    """Opens a worker session when one is needed, and ends it.

    State: the session, its process and its clients, under a lock; hooks and deliveries read the session without it.

    Parameters:
        client: whose connection parameters a session's own clients have.
        open_session: makes a session.
    """

    def __init__(self, client: "redis.Redis", open_session: OpenSession) -> None:
        self.current: WorkerSession | None = None
        self._client = client
        self._open_session = open_session
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._pid = -1
        self._clients: list[redis.Redis] = []

    def get(self) -> WorkerSession:
        """The session of this process, which is opened where there is none."""
        with self._lock:
            if self.current is None or self._pid != os.getpid():
                calling, waiting = self._new_client(), self._new_client(socket_timeout=WAITING_TIMEOUT_S)
                self.current = self._open_session(calling, waiting, self._worker)
                self._pid = os.getpid()
            return self.current

    def begin(self, lease: Lease) -> bool:
        """Mark a job as running on this thread. Returns False if its lease is not this process's any more."""
        session = self.current
        return session is not None and session.begin(lease)

    def worker_boots(self, worker: Worker) -> None:
        """Prepare a worker of which nothing runs yet."""
        worker.work_queue = FairWorkQueue()
        self._worker = worker

    def worker_stops(self) -> None:
        """Have the session fetch nothing more."""
        if self.current is not None:
            self.current.stop()

    def worker_stopped(self) -> None:
        """End the session of a worker of which nothing runs any more."""
        self.end()
        self._worker = None

    def end(self) -> None:
        """Return what was fetched, report what is finished, and end the session, unless another process opened it."""
        with self._lock:
            session, self.current = self.current, None
            if session is not None and self._pid == os.getpid():
                session.close()

    def disconnect(self) -> None:
        """Close the connections that sessions made."""
        for client in self._clients:
            with suppress(redis.RedisError):
                client.connection_pool.disconnect()
        self._clients.clear()

    def _new_client(self, **changed: Any) -> "redis.Redis":
        made = client_like(self._client, retry=never_twice(), **changed)
        self._clients.append(made)
        return made
