"""A worker process: `python -m tests.broker.promises.worker_host THREADS`."""

import sys
import threading

import dramatiq


def main() -> None:
    from tests.broker.promises.jobs import broker

    broker.emit_after("process_boot")
    dramatiq.Worker(broker, worker_threads=int(sys.argv[1]), worker_timeout=50).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
