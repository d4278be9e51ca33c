"""`python -m app up`: servers, workers, scheduler and web endpoint in the foreground, until told to stop."""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from app.output import err, fail, out
from app.run.children import AFTER_GRACE_S, Children, scheduler_command, web_command, worker_command
from app.run.servers import platform
from app.run.worker_events import in_words
from app.settings import RUN_FILE, Settings, child_environment, load_settings
from broker.supervisor.options import GRACE_S

_POLL_S = 0.2
_HTTP_TIMEOUT_S = 1.0


def up() -> int:
    """Run everything until SIGINT or SIGTERM; the exit code: 0 after a clean stop, else 1."""
    settings = load_settings(run_file=False)
    stop = _stop_signal()
    with (
        platform(settings) as values,
        listener(settings) as web,
        announced(settings, {**values, "public_url": public_url(settings, web)}),
        started(settings, values, web, log_folder=None) as children,
    ):
        if _until_ready(settings, web, children, stop):
            out.print(
                f"Pressroom is up: {public_url(settings, web)}, data in {settings.home}. Ctrl-C stops it."
            )
        broken = _wait(children, stop)
        for name, code in broken.items():
            fail(f"{name} ended by itself with exit code {code}; stopping the rest")
        err.print("Stopping: workers finish what they have in hand ...")
        codes = children.stop()
    unclean = {name: code for name, code in codes.items() if code}
    if unclean and not broken:
        fail(f"not a clean stop, exit codes: {unclean}")
    return 1 if broken or unclean else 0


@contextmanager
def started(
    settings: Settings, values: Mapping[str, object], web: socket.socket, *, log_folder: Path | None
) -> Iterator[Children]:
    """All processes of the platform, on the given servers.

    Parameters:
        settings: counts of processes and threads, and the home.
        values: settings by field name that the processes get on top of our environment.
        web: a listening socket for the web endpoint.
        log_folder: where their output goes; None for the terminal.
    """
    ready_dir = settings.ready_folder.resolve()
    shutil.rmtree(ready_dir, ignore_errors=True)
    environment = child_environment(
        {**values, "public_url": public_url(settings, web), "ready_dir": str(ready_dir)}
    )
    patience_s = settings.drain_s + GRACE_S + AFTER_GRACE_S
    with Children(
        settings.home / "children", environment, log_folder=log_folder, stop_timeout_s=patience_s
    ) as children:
        children.start("web", web_command(web.fileno()), pass_fds=[web.fileno()])
        # In a log the supervisor's own lines are worth more.
        on_output = _show if log_folder is None else None
        children.start("worker", worker_command(settings), on_output=on_output)
        if scheduled_actors():
            children.start("scheduler", scheduler_command(), has_work=False)
        yield children


def wait_for_stop(children: Children) -> dict[str, int]:
    """Wait for SIGINT or SIGTERM; the exit codes of children that ended before, which ends the wait too."""
    return _wait(children, _stop_signal())


def scheduled_actors() -> list[str]:
    """Names of the actors that have a schedule; the scheduler has nothing to do without any."""
    import actors  # late: they find their broker through what `announced` wrote

    found = (getattr(actors, name) for name in actors.__all__)
    return [actor.actor_name for actor in found if "periodic" in actor.options]


@contextmanager
def listener(settings: Settings) -> Iterator[socket.socket]:
    """A listening socket, made here so that its port is known before anything is started."""
    with socket.create_server((settings.http_host, settings.http_port)) as web:
        yield web


def public_url(settings: Settings, web: socket.socket) -> str:
    """Where people reach the web endpoint."""
    return settings.public_url or _address(web)


@contextmanager
def announced(settings: Settings, values: Mapping[str, object]) -> Iterator[None]:
    """EmitEvent other processes of this home where the servers are, for as long as the context is."""
    path = settings.home / RUN_FILE
    half = path.with_name(f"{RUN_FILE}.{os.getpid()}")
    half.touch(mode=0o600)
    half.write_text(json.dumps(dict(values)))
    half.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _until_ready(settings: Settings, web: socket.socket, children: Children, stop: threading.Event) -> bool:
    """Whether all take work by now; False when one ended or a signal came first."""
    while not children.ended() and not stop.wait(_POLL_S):
        ready = len(list(settings.ready_folder.glob("*.json")))
        if ready >= settings.worker_processes and _answers(_address(web)):
            return True
    return False


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=_HTTP_TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False


def _address(web: socket.socket) -> str:
    host, port = web.getsockname()[:2]
    return f"http://{host}:{port}"


def _wait(children: Children, stop: threading.Event) -> dict[str, int]:
    while not children.ended() and not stop.wait(_POLL_S):
        pass
    return children.ended()


def _show(text: str) -> None:
    words = in_words(text)
    if words:
        out.print(words, markup=False, highlight=False, soft_wrap=True)


def _stop_signal() -> threading.Event:
    stop = threading.Event()

    def handler(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
    return stop
