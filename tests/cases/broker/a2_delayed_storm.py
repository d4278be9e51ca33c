"""Org `flood` has very many delayed messages due at the same moment; org `other` has one that is due 300 ms later.

Fair share says that `other` runs at its turn: next.
Arguments: MESSAGES JOB_MS; default 20000 100, then 50000 1000.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time

import dramatiq

from tests.cases.kit import broker_on, eventually, own_server, pause, verdict, working
from tests.cases.scale import batches

#: `other` may have to wait for a thread: two jobs, and 100 ms within which what is due runs.
MOST_JOBS, MOST_MS = 2, 100

THREADS = 8
SENT_PER_S = 8_000


def main() -> list[str]:
    """What is wrong."""
    given = [int(each) for each in sys.argv[1:3]]
    storms = [(given[0], given[1])] if given else [(20_000, 100), (50_000, 1_000)]
    return [fault for storm in storms for fault in _storm(*storm)]


def _storm(messages: int, job_ms: int) -> list[str]:
    late_ms: dict[str, float] = {}
    begun: list[str] = []
    with own_server() as url, broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(name: str, due_s: float) -> None:
            begun.append(name)
            if name != "flood":
                late_ms[name] = (time.time() - due_s) * 1_000
            pause(job_ms / 1_000)

        due_s = time.time() + 3 + messages / SENT_PER_S

        def delay_ms() -> int:
            return max(1, int((due_s - time.time()) * 1_000))

        for part in batches(messages):
            flood = [job.message_with_options(args=("flood", due_s), org="flood") for _ in part]
            broker.send_many(flood, delay=delay_ms())
        job.send_with_options(args=("other", due_s + 0.3), org="other", delay=delay_ms() + 300)
        early_s = due_s - time.time()
        if early_s < 0:
            raise RuntimeError(f"sending took {-early_s:.1f} s too long on this machine")
        with working(broker, THREADS):
            pause(early_s + 1)
            job.send_with_options(args=("ready", time.time()), org="third")
            bound_ms = MOST_JOBS * job_ms + MOST_MS
            eventually(lambda: {"other", "ready"} <= late_ms.keys(), 5 * bound_ms / 1_000)
            count = len(begun)
            broker.flush("q")
    rows = {name: f"{ms:.0f} ms" for name, ms in late_ms.items()}
    print(f"{messages} of {job_ms} ms: {rows or 'nothing of others'} late; {count} jobs begun by then")
    return [
        f"{messages} of {job_ms} ms: {name} {f'{late_ms[name]:.0f} ms late' if name in late_ms else 'has not run'}"
        for name in ("other", "ready")
        if late_ms.get(name, float("inf")) > bound_ms
    ]


if __name__ == "__main__":
    verdict(main)
