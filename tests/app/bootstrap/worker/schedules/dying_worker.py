"""A task that kills itself after a step, for `python -m tests.app.bootstrap.worker.schedules.dying_worker`.

A step is everything that leaves the process: a connection, a statement, a COMMIT about to be sent, a connection given
back after it.
"""

import json
import os
import signal
import sys
from itertools import count

from sqlalchemy import event

from adapters.database.engine import create_engine
from app.bootstrap.worker.schedules import fire_schedules
from tests.adapters.outbox.letters import a_broker


def main(database_url: str, dies_after: int) -> None:
    """Fire one batch, unless it dies before."""
    steps = count(1)

    def step(*_: object) -> None:
        if next(steps) == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = create_engine(database_url)
    for name in ("connect", "checkin", "after_cursor_execute", "commit"):
        event.listen(engine, name, step)
    fire_schedules(engine, a_broker())()
    print(next(steps) - 1)  # noqa: T201  # what the test reads


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
