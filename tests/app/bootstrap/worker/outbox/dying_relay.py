"""A relay that kills itself after one of its steps, for `python -m tests.app.bootstrap.worker.outbox.dying_relay`.

A step is everything that leaves the process: a connection, a statement, a COMMIT about to be sent, a connection given
back after it, a message handed to the broker.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count

from sqlalchemy import event

from adapters.database.engine import create_engine
from adapters.outbox import Relay
from app.bootstrap.worker.outbox import broker_sender
from tests.adapters.outbox.letters import Letter
from tests.app.bootstrap.worker.outbox.guarded_broker import guarded_broker


def main(database_url: str, redis_url: str, namespace: str, dies_after: int) -> None:
    """Relay once, unless it dies before."""
    steps = count(1)

    def step(*_: object) -> None:
        if next(steps) == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = create_engine(database_url)
    for name in ("connect", "checkin"):
        event.listen(engine, name, step)
    for name in ("after_cursor_execute", "commit"):
        event.listen(engine, name, step)
    with guarded_broker(redis_url, namespace, _nobody_works) as broker:
        Relay(engine, _stepping(broker_sender(broker), step))()
    print(next(steps) - 1)  # noqa: T201  # what the test reads


def _stepping(send: Callable[[bytes], None], step: Callable[[], None]) -> Callable[[bytes], None]:
    def sending(data: bytes) -> None:
        send(data)
        step()

    return sending


def _nobody_works(letter: Letter) -> None:
    raise AssertionError(f"letter {letter.number} was worked by the relay's process")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
