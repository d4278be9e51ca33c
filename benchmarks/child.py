"""One process of a measured system, started by `benchmarks.lab.Child`: it does what comes through a pipe.

Apart from its tasks, so that what they return has the same name on both sides.
"""

import os
import sys
from multiprocessing.connection import Connection

from benchmarks.tasks import Tasks


def main() -> None:
    """Work on one task after the other until the pipe closes."""
    system, url, guarded, descriptor = sys.argv[1:]
    tasks = Tasks(system, url, guarded=guarded == "guarded")
    with Connection(int(descriptor)) as pipe:
        while True:
            try:
                task, arguments, options = pipe.recv()
            except EOFError:
                # Without the farewell of a worker, which takes a second: its server is gone next.
                os._exit(0)
            pipe.send(getattr(tasks, task)(*arguments, **options))


if __name__ == "__main__":
    main()
