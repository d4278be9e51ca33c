"""The steps of a job: every call of its that touched the database, Redis, the network or an object store."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import httpx
import obstore
import psycopg
import redis
from dramatiq.worker import ConsumerThread

#: What a job does to the world goes through one of these, whichever library is on top.
CALLS: tuple[tuple[Any, str], ...] = (
    (psycopg.Cursor, "execute"),
    (psycopg.Connection, "commit"),
    (psycopg.Connection, "rollback"),
    (redis.Redis, "execute_command"),
    (redis.client.Pipeline, "execute"),
    (httpx.Client, "send"),
    *((obstore, name) for name in ("put", "get", "head", "delete", "copy", "rename")),
)


class Steps:
    """Counts the calls of this process's jobs, once `begin` was called, and does something at one of them.

    Calls of threads that serve all jobs (the consumer, the guards' own) are none of a job's.

    Parameters:
        at: which call, from 1; None for none.
        act: what is done right after it, in the middle of whatever comes next.
    """

    def __init__(self, at: int | None, act: Callable[[], None]) -> None:
        self._at = at
        self._act = act
        self._lock = threading.Lock()
        self._begun = False
        self.taken: list[str] = []
        for owner, name in CALLS:
            setattr(owner, name, self._counted(owner, name))

    def begin(self) -> None:
        """Count from here."""
        self._begun = True

    def _counted(self, owner: Any, name: str) -> Callable[..., Any]:
        call = getattr(owner, name)
        label = f"{owner.__name__}.{name}"

        @functools.wraps(call)
        def counted(*args: Any, **kwargs: Any) -> Any:
            try:
                return call(*args, **kwargs)
            finally:
                if self._begun and _is_a_jobs(threading.current_thread()):
                    self._take(label)

        return counted

    def _take(self, label: str) -> None:
        with self._lock:
            self.taken.append(label)
            if len(self.taken) == self._at:
                self._act()


def _is_a_jobs(thread: threading.Thread) -> bool:
    return not (
        thread is threading.main_thread()
        or isinstance(thread, ConsumerThread)
        or thread.name.startswith("pressroom")
    )
