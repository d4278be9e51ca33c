"""A process that works jobs in children which it forks, so that one dies in the middle and another one takes over.

Reads a command a line from standard input and answers with a line of JSON:

    {"do": "run", "actor": ..., "payload": ..., "at": n, "how": "kill" | "freeze"}    send a job, work it, end so
    {"do": "recover", "actor": ...}                                                   work whatever is there
    {"do": "thaw"}                                                                    let the frozen one go on

Forked, since importing the platform takes far longer than a job.
"""

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

from dramatiq import Worker

import actors
from adapters.database import unit_of_work
from app.broker import broker
from broker import FairRedisBroker
from tests.crash.steps import Steps

#: A worker that was silent for so long counts as dead, and its messages are given to others.
REDELIVERY_MS = 1_000
#: How long a child may work before it says that it did not come to an end.
PATIENCE_S = 45.0
#: A transaction whose worker is frozen is ended by the database after so long.
TRANSACTION_S = 2.0

#: Guards that act for the whole platform, in their own time: not a part of any job.
BACKGROUND = ("Cron", "BackgroundTasks")


#: What jobs load when they first need it; here once, instead of in each child.
LOADED_LATE = ("app.bootstrap.jobs.services", "adapters.database.dead_letters", "adapters.database.history")


def main() -> None:
    """Serve until standard input ends."""
    for module in LOADED_LATE:
        importlib.import_module(module)
    frozen: tuple[int, int] | None = None
    for row in sys.stdin:
        command = json.loads(row)
        if command["do"] == "thaw":
            assert frozen is not None
            os.kill(frozen[0], signal.SIGCONT)
            answer = _await(*frozen)
        else:
            child = _fork(command)
            answer = _await(*child)
            if answer["ended"] == "frozen":
                frozen = child
        print(json.dumps(answer), flush=True)  # noqa: T201  # the answer


def _fork(command: dict[str, Any]) -> tuple[int, int]:
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        try:
            report = _work(command)
        except BaseException as error:  # noqa: BLE001  # told to whoever asked
            report = {"ended": f"failed: {error!r}"}
        os.write(said, json.dumps(report).encode())
        os._exit(0)
    os.close(said)
    return pid, heard


def _await(pid: int, heard: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"ended": "frozen"}
    with os.fdopen(heard, "rb") as report:
        said = report.read()
    if os.WIFSIGNALED(status):
        return {
            "ended": "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {os.WTERMSIG(status)}"
        }
    answer: dict[str, Any] = json.loads(said)
    return answer


def _work(command: dict[str, Any]) -> dict[str, Any]:
    broker.heartbeat_timeout = broker.stall_timeout = REDELIVERY_MS
    broker.middleware[:] = [each for each in broker.middleware if type(each).__name__ not in BACKGROUND]
    _shorten_transactions()
    ending = signal.SIGSTOP if command.get("how") == "freeze" else signal.SIGKILL
    # To the thread itself: sent to the process, another thread may take it, and this one goes on until then.
    steps = Steps(command.get("at"), lambda: signal.pthread_kill(threading.get_ident(), ending))
    actor = getattr(actors, command["actor"])
    broker.emit_after("process_boot")
    worker = Worker(broker, queues={actor.queue_name}, worker_timeout=50, worker_threads=1)
    if command["do"] == "run":
        payload = command["payload"]
        actor.send_with_options(args=() if payload is None else (payload,))
        steps.begin()
    worker.start()
    drained = _drained(broker, actor.queue_name)
    worker.stop(timeout=5_000)
    if not drained:
        return {"ended": f"not drained in {PATIENCE_S} s", "steps": steps.taken}
    return {"ended": "done", "steps": steps.taken}


def _drained(broker: FairRedisBroker, queue: str) -> bool:
    """Wait until nothing is queued, delayed or in anybody's hands."""
    never = threading.Event()
    for _ in range(int(PATIENCE_S / 0.05)):
        if not broker.do_qsize(queue):
            return True
        never.wait(0.05)
    return False


def _shorten_transactions() -> None:
    plain = unit_of_work._Transaction.__init__

    def shortened(self: Any, engine: Any, name: str, value: str, timeout_s: float) -> None:
        plain(self, engine, name, value, min(timeout_s, TRANSACTION_S))

    unit_of_work._Transaction.__init__ = shortened  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
