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

#: Lines of a Sentinel's answer that names a server: two texts, each behind its length.
PRIMARY_LINES = 5
#: Seconds that Redis may take to answer before the connection is closed and made anew at the next beat.
ANSWER_S = 2.0


class Refused(OSError):
    """Redis answered with an error, or nothing; the connection is made anew."""


class RedisConnection:
    """A connection, and the one command it is for."""

    def __init__(self, address: dict[str, Any]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._hosts = list((address["sentinel"] or {}).get("hosts", ()))

    def ready(self) -> None:
        """Connect where it is not.

        Raises:
            OSError: Redis is away, or refuses.
        """
        if self._socket is not None:
            return
        address = self._address if self._address["sentinel"] is None else self._primary()
        self._socket = _connected(address)
        _sign_in(self._socket, address)
        if address["db"]:
            _ask(self._socket, "SELECT", str(address["db"]))

    def beat(self) -> None:
        """Raises OSError where the beat may not have arrived."""
        assert self._socket is not None  # noqa: S101  # `ready` came first
        address = self._address
        _ask(self._socket, "EVAL", address["script"], "1", address["base"], address["worker_id"])

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _primary(self) -> dict[str, Any]:
        """The address with the primary that the first Sentinel which answers names."""
        sentinel = self._address["sentinel"]
        for host, port in tuple(self._hosts):
            try:
                with _connected({**sentinel, "path": None, "host": host, "port": port}) as asking:
                    _sign_in(asking, sentinel)
                    found = _ask(asking, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel["service"], lines=5)
            except OSError:
                found = []
            if len(found) == PRIMARY_LINES:
                return {
                    **self._address,
                    "host": sentinel["primary_host"] or found[2].decode(),
                    "port": int(found[4]),
                }
            # It is asked last from now on.
            self._hosts.append(self._hosts.pop(0))
        raise Refused("no Sentinel names a primary")


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
    stalled, fault = False, ""
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
            fault = ""
        except OSError as error:
            connection.close()
            # A server that is away is the worker's own to say; what only this process is refused nobody else says.
            if isinstance(error, Refused) and str(error) != fault:
                fault = str(error)
                _say(f"no beat arrives for worker process {worker_pid}: {fault}")


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


def _sign_in(connected: socket.socket, address: dict[str, Any]) -> None:
    name, password = address["username"], address["password"]
    if password is not None:
        _ask(connected, "AUTH", *([name] if name else []), password)


def _ask(connected: socket.socket, *words: str, lines: int = 1) -> list[bytes]:
    """What a command is answered: so many lines, or one if that is an error or nothing."""
    # What is no text came as surrogates.
    encoded = [word.encode("utf-8", "surrogateescape") for word in words]
    parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(each), each) for each in encoded)]
    connected.sendall(b"".join(parts))
    answer = b""
    while answer.count(b"\r\n") < lines or not answer.endswith(b"\r\n"):
        more = connected.recv(4_096)
        if not more:
            raise ConnectionResetError("the connection was closed")
        answer += more
        if answer.endswith(b"\r\n") and answer.startswith((b"-", b"*-", b"$-", b"_")):
            break
    if answer.startswith(b"-"):
        raise Refused(answer[1:].decode(errors="replace").strip())
    return answer.split(b"\r\n")[:-1]


def _encrypted(plain: socket.socket, host: str, tls: dict[str, Any]) -> socket.socket:
    import ssl  # late: most connections need none of its 2 MB

    context = ssl.create_default_context()
    context.check_hostname = tls["verify"] and tls["check_hostname"]
    if not tls["verify"]:
        context.verify_mode = ssl.CERT_NONE
    context.verify_flags &= ~tls["without_flags"]
    data = tls["ca_data"].encode("latin-1") if tls["ca_data_is_der"] else tls["ca_data"]
    if tls["ca_file"] or tls["ca_folder"] or data:
        context.load_verify_locations(tls["ca_file"], tls["ca_folder"], data)
    if tls["certificate_file"]:
        context.load_cert_chain(tls["certificate_file"], tls["key_file"], tls["key_password"])
    if tls["min_version"] is not None:
        context.minimum_version = ssl.TLSVersion(tls["min_version"])
    if tls["ciphers"]:
        context.set_ciphers(tls["ciphers"])
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
