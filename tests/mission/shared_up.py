"""One `python -m app up` for all test processes of a run: the first starts it, the last one to leave stops it."""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Bounds on what takes seconds.
START_S = 120.0
STOP_S = 90.0

# Starts a process that is nobody's child, so that whoever started it may end first.
_DETACH = (
    "import subprocess, sys; "
    "print(subprocess.Popen(sys.argv[3:], stdout=open(sys.argv[1], 'wb'), stderr=subprocess.STDOUT, "
    "stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[int(sys.argv[2])]).pid)"
)


@contextmanager
def shared_up(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of whoever works beside the platform, for as long as the context is.

    Parameters:
        folder: the same for all test processes of one run.
    """
    folder.mkdir(exist_ok=True)
    known = folder / "up.json"
    starting = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT, 0o600)
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _held(starting):
            if not known.exists():
                known.write_text(json.dumps(_start(folder)))
            # Gone with the process however it ends: the kernel counts the users.
            fcntl.flock(users, fcntl.LOCK_SH)
        yield {**os.environ, **json.loads(known.read_text())["environment"]}
    finally:
        with _held(starting):
            if _is_last(users):
                _stop(folder, json.loads(known.read_text()))
                known.unlink()
        os.close(users)
        os.close(starting)


def _start(folder: Path) -> dict[str, object]:
    # Not in pytest's own folder, which is closed: as root, PostgreSQL runs as somebody else.
    home = Path(tempfile.mkdtemp(prefix="pressroom-mission-"))
    home.chmod(0o711)
    environment = {"PRESSROOM_HOME": str(home), "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **_settings()}
    log = folder / "up.log"
    # Open in `up` alone: free again when `up` has ended, whoever collects its exit code.
    alive = os.open(folder / "alive.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(alive, True)
    fcntl.flock(alive, fcntl.LOCK_EX)
    started = subprocess.run(
        [sys.executable, "-c", _DETACH, str(log), str(alive), sys.executable, "-m", "app", "up"],
        cwd=ROOT,
        env={**os.environ, **environment},
        pass_fds=[alive],
        capture_output=True,
        text=True,
        check=True,
    )
    os.close(alive)
    ended = threading.Event()
    for _ in range(int(START_S / 0.05)):
        if "Pressroom is up" in log.read_text():
            return {"pid": int(started.stdout), "environment": environment}
        assert not _is_free(folder / "alive.lock"), f"up ended by itself: {log.read_text()}"
        ended.wait(0.05)
    raise AssertionError(f"up is not up after {START_S} s: {log.read_text()}")


def _settings() -> Mapping[str, str]:
    """What cannot wait for a test to set it: where services are that its workers may call, and what they may call."""
    objects, feedback = _free_ports(2)
    return {
        # While many jobs fail, as tests have them do, half as many run: still more than any limit that is shown.
        "PRESSROOM_WORKER_THREADS": "16",
        "PRESSROOM_PUBLISH_ALLOW_HTTP": "true",
        "PRESSROOM_PUBLISH_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "PRESSROOM_S3_ENDPOINT_URL": f"http://127.0.0.1:{objects}",
        "PRESSROOM_S3_ACCESS_KEY_ID": "mission",
        "PRESSROOM_S3_SECRET_ACCESS_KEY": "mission-secret",
        "PRESSROOM_S3_EXPORT_TARGETS": '["mission/{org_id}/"]',
        "PRESSROOM_FEEDBACK_SOURCE_URL": f"http://127.0.0.1:{feedback}",
    }


def _free_ports(count: int) -> list[int]:
    # Below those that systems hand out, so that nobody gets one before a test listens there.
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", random.randint(20_000, 32_000)))
            found.append(tried.getsockname()[1])
    return found


def _stop(folder: Path, known: Mapping[str, object]) -> None:
    with suppress(ProcessLookupError):
        os.kill(int(str(known["pid"])), signal.SIGTERM)
    ended = threading.Event()
    for _ in range(int(STOP_S / 0.05)):
        if _is_free(folder / "alive.lock"):
            break
        ended.wait(0.05)
    else:
        raise AssertionError(f"up does not stop: {(folder / 'up.log').read_text()}")
    environment = known["environment"]
    assert isinstance(environment, dict)
    shutil.rmtree(environment["PRESSROOM_HOME"], ignore_errors=True)


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_last(users: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_free(path: Path) -> bool:
    with path.open("r+") as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
