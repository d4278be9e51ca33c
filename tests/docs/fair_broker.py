"""`examples/fair_broker.py` as its docstring says to run it: a worker process, and the file beside it."""

import os
import signal
import subprocess
import sys

from tests.docs.blocks import ROOT


def run_fair_broker(redis_url: str, python: str = sys.executable) -> str:
    """Run it on this server by this interpreter; what it printed. The worker has to stop cleanly."""
    environment = {**os.environ, "REDIS_URL": redis_url}
    folder = ROOT / "examples"
    command = [python, "-m", "pressroom.broker", "worker", "fair_broker", "--threads", "2"]
    worker = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        done = subprocess.run(
            [python, "fair_broker.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker.returncode == 0
    return done.stdout
