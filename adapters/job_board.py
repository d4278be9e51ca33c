"""Who is doing what: progress of every job in Redis, readable from anywhere, and the flag that stops one."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias
from uuid import UUID

import redis

from domain.contract import Model
from domain.errors import Cancelled, DeadlineExceeded, JobError

#: How long a job's line, and a request to cancel it, are kept.
KEPT_S = 24 * 60 * 60

logger = logging.getLogger(__name__)

State = Literal["running", "done", "failed", "cancelled"]

#: What redis-py takes as the name and the value of a hash's field.
Field: TypeAlias = bytes | bytearray | memoryview | str | int | float
Value: TypeAlias = bytes | bytearray | memoryview | str | int | float


class JobLine(Model):
    """The last that is known of one job."""

    job_id: UUID
    org_id: UUID | None = None
    actor: str
    state: State
    percent: int
    note: str
    attempts: int


class JobBoard:
    """Reads and writes the lines, `<prefix>:job:<id>` each a hash that expires.

    Parameters:
        client: a Redis client.
        prefix: begins every key. Default `pressroom`.
        monotonic: seconds that only go forward, for deadlines. Default `time.monotonic`.

    The board watches and never decides: where Redis is away, writes are logged and dropped.
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        prefix: str = "pressroom",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._monotonic = monotonic

    @contextmanager
    def run(
        self, *, job_id: UUID, org_id: UUID | None, actor: str, time_limit_ms: float | None
    ) -> Iterator["BoardRun"]:
        """The surroundings of one attempt; its line says how it ends.

        Parameters:
            job_id: the same for every attempt.
            org_id: whose job it is; None for the platform's own.
            actor: what kind of job it is.
            time_limit_ms: how long the attempt may take; None for ever.
        """
        begun: dict[Field, Value] = {
            "actor": actor,
            "state": "running",
            "percent": 0,
            "note": "started",
        }
        if org_id is not None:
            begun["org_id"] = str(org_id)
        self._write(job_id, begun, new_attempts=1)
        deadline = None if time_limit_ms is None else self._monotonic() + time_limit_ms / 1000
        try:
            yield BoardRun(self, job_id, deadline, self._monotonic)
        except BaseException as error:
            state = "cancelled" if isinstance(error, Cancelled) else "failed"
            # Texts of foreign errors may quote what they were given; only ours are known not to.
            note = str(error) if isinstance(error, JobError) else type(error).__name__
            self._write(job_id, {"state": state, "note": note})
            raise
        self._write(job_id, {"state": "done", "percent": 100, "note": "done"})

    def read(self, job_id: UUID) -> JobLine | None:
        """A job's line; None before its first attempt."""
        line = self._client.hgetall(self._key(job_id))
        if not line:
            return None
        fields = {_text(name): _text(value) for name, value in line.items()}
        fields["job_id"] = str(job_id)
        return JobLine.model_validate_strings(fields)

    def write_progress(self, job_id: UUID, percent: int, note: str) -> None:
        """Replace how far a job is."""
        self._write(job_id, {"percent": percent, "note": note})

    def cancel(self, job_id: UUID) -> None:
        """Ask a job to stop at its next checkpoint, also one that has not started yet."""
        self._client.set(self._cancel_key(job_id), "1", ex=KEPT_S)

    def is_cancelled(self, job_id: UUID) -> bool:
        """Whether somebody asked for that. A Redis that is away has not been asked."""
        try:
            return bool(self._client.exists(self._cancel_key(job_id)))
        except redis.RedisError as error:
            logger.warning("Cannot tell whether job %s is cancelled: %s", job_id, error)
            return False

    def _write(self, job_id: UUID, fields: Mapping[Field, Value], *, new_attempts: int = 0) -> None:
        key = self._key(job_id)
        try:
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=dict(fields))
                pipeline.hincrby(key, "attempts", new_attempts)
                pipeline.expire(key, KEPT_S)
                pipeline.execute()
        except redis.RedisError as error:
            # The board only tells; a job is not failed because nobody can watch it.
            logger.warning("Cannot write the line of job %s: %s", job_id, error)

    def _key(self, job_id: UUID) -> str:
        return f"{self._prefix}:job:{job_id}"

    def _cancel_key(self, job_id: UUID) -> str:
        return f"{self._prefix}:job:{job_id}:cancel"


class BoardRun:
    """One attempt, as `domain.ports.Run`."""

    def __init__(
        self, board: JobBoard, job_id: UUID, deadline: float | None, monotonic: Callable[[], float]
    ) -> None:
        self._board = board
        self._job_id = job_id
        self._deadline = deadline
        self._monotonic = monotonic

    @property
    def job_id(self) -> UUID:
        return self._job_id

    def remaining_s(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._monotonic())

    def progress(self, percent: int, note: str) -> None:
        self._board.write_progress(self._job_id, percent, note)

    def checkpoint(self) -> None:
        if self._board.is_cancelled(self._job_id):
            raise Cancelled("the job was cancelled on request")
        if self.remaining_s() == 0:
            raise DeadlineExceeded("the job's time limit is used up; the attempt ends between two steps")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
