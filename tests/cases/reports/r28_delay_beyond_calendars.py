"""A delay in the wrong unit is refused at send, or every view of it works.

Microseconds or nanoseconds where milliseconds belong (`delay=time.time_ns()`): the year 56915894 is none that Python's
calendar has.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time

import dramatiq

from broker import Inspector
from tests.cases.kit import broker_on, client_of, in_short, outcome, own_server, verdict


def main() -> list[str]:
    """What is wrong."""
    faults = []
    with own_server() as url, broker_on(url) as broker:

        @dramatiq.actor(broker=broker)
        def job() -> None: ...

        look = Inspector(client_of(url), broker.base)
        for name, delay_ms in {"a year": 365 * 86_400_000, "nanoseconds": time.time_ns()}.items():
            broker.flush("default")
            job.send_with_options(delay=1_000_000)
            message = outcome(
                lambda delay_ms=delay_ms: job.send_with_options(delay=delay_ms)  # type: ignore[misc]
            )
            if isinstance(message, Exception):
                print(f"{name:12} refused: {in_short(message)}")
                continue
            job_id = message.message_id
            why = outcome(lambda job_id=job_id: look.why(job_id).text)  # type: ignore[misc]
            waiting = outcome(lambda: f"{len(list(look.waiting('default')))} listed")
            for view, answer in {"why": why, "waiting": waiting}.items():
                print(f"{name:12} {view:8} {in_short(answer)}")
                if isinstance(answer, Exception):
                    faults.append(f"{view} of {name}")
    return faults


if __name__ == "__main__":
    verdict(main)
