"""A process that is beaten for: it says what it does on standard output and does what it reads on standard input."""

import ctypes
import os
import sys
import threading

import redis

from broker.leasing.heartbeat import HeartbeatSender
from broker.leasing.heartbeat_address import Address


def say(text: str) -> None:
    """One line to the test."""
    os.write(1, f"{text}\n".encode())


def main(url: str, base: str, worker_id: str, every_s: str, stall_timeout_s: str) -> None:
    """Serve until the input ends."""
    sender = HeartbeatSender(every_s=float(every_s), stall_timeout_s=float(stall_timeout_s))
    sender.start(worker_id, base, Address.from_client(redis.Redis.from_url(url)))
    turns = [0]
    threading.Thread(target=count, args=(turns,), daemon=True).start()
    say(f"helper_pid {sender.helper_pid}")
    while word := os.read(0, 1):
        if word == b"h":
            # `PyDLL` keeps the interpreter's lock, as C code that never gives it back does.
            say("holding")
            before = turns[0]
            ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)
            say(f"held {turns[0] - before}")
        elif word == b"f":
            pid = os.fork()
            if pid == 0:
                sender.stop()
                say(f"forked {os.getpid()}")
                threading.Event().wait()
        elif word == b"p":
            say(f"helper_pid {sender.helper_pid}")
        elif word == b"s":
            sender.stop()
            say("stopped")


def count(turns: list[int]) -> None:
    """What Python does meanwhile: nothing, where the lock is held."""
    nobody = threading.Event()
    while not nobody.wait(0.001):
        turns[0] += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
