"""A worker process hears that it is to stop, whatever its main thread does at that moment."""

import subprocess
import sys

import pytest

from tests.middleware.eventually import PATIENCE_S

#: The kernel may give a signal to any thread; Python's handler runs in the main thread alone, when that runs Python.
TO_ANOTHER_THREAD = """
import os, signal, threading
from broker.supervisor.stop_signal import StopSignal

stop, begun = StopSignal(), threading.Event()

def send():
    begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=send).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
begun.set()
WAIT
print(stop.to_stop)
"""


@pytest.mark.parametrize("wait", ["stop.wait()", "stop.wait_for(60)"])
def test_a_signal_that_another_thread_gets_ends_the_wait(wait: str) -> None:
    """Without a byte in a pipe from the interpreter itself, the main thread would go on waiting."""
    ran = subprocess.run(
        [sys.executable, "-c", TO_ANOTHER_THREAD.replace("WAIT", wait)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (ran.stdout, ran.stderr, ran.returncode) == ("True\n", "", 0)


def test_whoever_registered_is_notified_of_each_signal_at_once() -> None:
    """On the main thread, however often it comes."""
    ran = subprocess.run(
        [sys.executable, "-c", NOTIFIED], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert (ran.stdout, ran.stderr, ran.returncode) == ("[15, 15] True\n", "", 0)


NOTIFIED = """
import os, signal
from broker.supervisor.stop_signal import StopSignal, on_stop_signal

seen = []
on_stop_signal(seen.append)
stop = StopSignal()
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
print(seen, stop.to_stop)
"""
