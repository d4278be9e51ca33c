"""A supervisor whose numbers a test chooses: `python -m tests.broker.supervisor.supervisor_host JSON`."""

import json
import sys
from typing import Any

from broker.supervisor.options import SupervisorOptions
from broker.supervisor.supervisor import Supervisor


def on_death(pid: int, worker_id: str | None, code: int) -> None:
    """Says so on standard output; and then fails, which must hurt nobody."""
    sys.stdout.write(
        json.dumps({"event": "on_death", "pid": pid, "worker_id": worker_id, "code": code}) + "\n"
    )
    sys.stdout.flush()
    raise LookupError("nobody to tell")


if __name__ == "__main__":
    numbers: dict[str, Any] = json.loads(sys.argv[1])
    numbers = {name: tuple(value) if isinstance(value, list) else value for name, value in numbers.items()}
    sys.exit(Supervisor(SupervisorOptions(**numbers), on_death=on_death).run())
