"""The process that beats for one worker, run by its path and not as a module of this package.

It imports the standard library alone, so that it stays at 6 MB where redis-py would make it 23, and it runs isolated
(`python -I -S`): beside it lie files named like modules of the standard library, and they must not be found.
"""

import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

#: Seconds that Redis may take to answer before the connection is closed and made anew at the next beat.
ANSWER_S = 2.0


class Refused(OSError):
    """Redis answered with an error; the connection is made anew."""


class RedisConnection:
    """A connection, and the one command it is for."""

    def __init__(self, address: dict[str, Any]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ready(self) -> None:
        """Connect where it is not.

        Raises:
            OSError: Redis is away, or refuses.
        """
        if self._socket is not None:
            return
        self._socket = _connected(self._address)
        name, password, database = self._address["username"], self._address["password"], self._address["db"]
        if password is not None:
            self._ask("AUTH", *([name] if name else []), password)
        if database:
            self._ask("SELECT", str(database))

    def beat(self) -> None:
        """Raises OSError where the beat may not have arrived."""
        address = self._address
        self._ask("EVAL", address["script"], "1", address["base"], address["worker_id"])

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _ask(self, *words: str) -> None:
        assert self._socket is not None  # noqa: S101  # `ready` came first
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(each), each) for each in encoded)]
        self._socket.sendall(b"".join(parts))
        answer = b""
        # All that is asked here is answered by one line.
        while not answer.endswith(b"\r\n"):
            more = self._socket.recv(4_096)
            if not more:
                raise Refused("the connection was closed")
            answer += more
        if answer.startswith(b"-"):
            raise Refused("an error was answered")


def main() -> None:
    """Beat until the worker, which started this process and holds the other end of its input, is gone."""
    # The signals of a group or a control group are for the worker: while that drains, it lives.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    address = _address()
    if address is not None:
        _beat_for(address)


def _beat_for(address: dict[str, Any]) -> None:
    worker_pid, every_s, stall_timeout_s = address["pid"], address["every_s"], address["stall_timeout_s"]
    connection = RedisConnection(address)
    watched = [0, *_handle_of(worker_pid)]
    moved_s = next_s = time.monotonic()
    stalled = False
    while True:
        readable = select.select(watched, [], [], max(0.0, next_s - time.monotonic()))[0]
        now_s = time.monotonic()
        if 0 in readable:
            if not os.read(0, 4_096):
                return
            moved_s = now_s
        if len(readable) > (0 in readable) or not _is_child_of(worker_pid):
            return
        if now_s < next_s:
            continue
        next_s = now_s + every_s
        was_stalled, stalled = stalled, now_s - moved_s > stall_timeout_s
        if stalled and not was_stalled:
            _say(f"worker process {worker_pid} has not moved for {stall_timeout_s} s: no more beats for it")
        if stalled:
            continue
        try:
            connection.ready()
            # Connecting may have taken its time, and nobody beats for the dead.
            if not _is_child_of(worker_pid):
                return
            connection.beat()
        except OSError:
            connection.close()


def _address() -> dict[str, Any] | None:
    """The first line of input; the bytes after it are the worker's progress, and stay there."""
    row = b""
    while byte := os.read(0, 1):
        row += byte
        if byte == b"\n":
            address: dict[str, Any] = json.loads(row)
            return address
    return None


def _handle_of(pid: int) -> list[int]:
    # Readable at the moment the process ends. Without it (macOS, old kernels) each round asks for the parent.
    try:
        return [os.pidfd_open(pid)]
    except (AttributeError, OSError):
        return []


def _is_child_of(pid: int) -> bool:
    # An orphan gets another parent at once, which a reused process id cannot be.
    return os.getppid() == pid


def _connected(address: dict[str, Any]) -> socket.socket:
    if address["path"]:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(ANSWER_S)
        try:
            plain.connect(address["path"])
        except OSError:
            plain.close()
            raise
        return plain
    plain = socket.create_connection((address["host"], address["port"]), ANSWER_S)
    return plain if address["tls"] is None else _encrypted(plain, address["host"], address["tls"])


def _encrypted(plain: socket.socket, host: str, tls: dict[str, Any]) -> socket.socket:
    import ssl  # late: most connections need none of its 2 MB

    context = ssl.create_default_context(cafile=tls["ca_file"])
    context.check_hostname = tls["verify"] and tls["check_hostname"]
    if not tls["verify"]:
        context.verify_mode = ssl.CERT_NONE
    if tls["certificate_file"]:
        context.load_cert_chain(tls["certificate_file"], tls["key_file"])
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"Heartbeat: {text}.\n")
        sys.stderr.flush()
    except OSError:
        pass


if __name__ == "__main__":
    main()
