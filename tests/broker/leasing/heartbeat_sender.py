"""A worker process that is beaten for, seen from the test."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import redis

from tests.broker.supervisor.supervised import PATIENCE_S, ROOT, is_alive


class Beaten:
    """The process, its helper, and its beats in the store."""

    def __init__(self, url: str, client: Any, *, every_s: float, stall_timeout_s: float) -> None:
        self.base = f"beaten-{uuid4().hex}:{{0}}"
        self.worker_id = uuid4().hex
        self.client = client
        self.every_s = every_s
        self._buffer = b""
        self.register()
        command = [
            sys.executable,
            "-m",
            "tests.broker.leasing.heartbeat_host",
            url,
            self.base,
            self.worker_id,
        ]
        self._process = subprocess.Popen(
            [*command, str(every_s), str(stall_timeout_s)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.helper_pid = int(self.wait_for("helper_pid"))

    def register(self) -> None:
        """Known to the store, and not seen for ages."""
        self.client.zadd(f"{self.base}:workers", {self.worker_id: 0})

    def last_beat_ms(self) -> int:
        """As it stands in the store; -1 where the worker is not known."""
        score = self.client.zscore(f"{self.base}:workers", self.worker_id)
        return -1 if score is None else int(score)

    def await_beats(self, number: int) -> None:
        """See so many of them, at least."""
        for _ in range(number):
            seen = self.last_beat_ms()
            self.wait_until(lambda seen=seen: self.last_beat_ms() > seen)  # type: ignore[misc]

    def say(self, letter: bytes) -> None:
        """Have the process do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(letter)
        self._process.stdin.flush()

    def wait_for(self, word: str) -> str:
        """The rest of the next line in which this word stands, of the process or of its helper."""
        assert self._process.stdout is not None
        while True:
            while b"\n" in self._buffer:
                row, _, self._buffer = self._buffer.partition(b"\n")
                if word in (text := row.decode()):
                    return text.partition(word)[2].strip()
            readable = select.select([self._process.stdout], [], [], PATIENCE_S)[0]
            read = os.read(self._process.stdout.fileno(), 4_096) if readable else b""
            assert read, f"no {word!r} in {PATIENCE_S} s"
            self._buffer += read

    def kill(self) -> None:
        """End the worker's process alone, at once."""
        self._process.kill()
        self._process.wait()

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that processes do."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if holds():
                return
            self.pause(0.01)
        raise AssertionError(f"it did not come about in {PATIENCE_S} s")

    def pause(self, seconds: float) -> None:
        """Let time pass; the server does the waiting, on a list to which nobody pushes."""
        self.client.blpop([f"{self.base}:never"], timeout=seconds)

    def close(self) -> None:
        """Nothing of it stays."""
        os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self.wait_until(lambda: not is_alive(self.helper_pid))
        self.client.delete(f"{self.base}:workers")


@contextmanager
def beaten(url: str, *, every_s: float = 0.05, stall_timeout_s: float = 600) -> Iterator[Beaten]:
    """A process that is beaten for."""
    with redis.Redis.from_url(url, socket_timeout=None) as client:
        process = Beaten(url, client, every_s=every_s, stall_timeout_s=stall_timeout_s)
        try:
            yield process
        finally:
            process.close()
