"""An org that waits, against a steady stream of orgs that were never seen: who runs first?

One worker, one thread, jobs of 50 ms (capacity 20/s). Org `patient` has sent five messages; newcomers arrive at 1.25 x
capacity, each a new org with one message (`fresh`), or five orgs in turn (`few`).
Arguments: fresh, few; default both.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time

import dramatiq

from tests.cases.kit import broker_on, own_server, pause, verdict, working

#: The patient org's five jobs of 50 ms are done by then, counted from their sending, whoever comes after.
PATIENT_WITHIN_S = 5.0
#: Later newcomers that run before one that came earlier: no more than may be running at once.
THREADS = 1

JOB_S, EVERY_S, STREAM_S, WARMING = 0.05, 0.04, 8.0, 20


def main() -> list[str]:
    """What is wrong."""
    return [fault for mode in sys.argv[1:] or ["fresh", "few"] for fault in _stream(mode)]


def _stream(mode: str) -> list[str]:
    ran: list[tuple[str, float]] = []
    with own_server() as url, broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(name: str) -> None:
            ran.append((name, time.monotonic()))
            pause(JOB_S)

        with working(broker, THREADS):
            for _ in range(WARMING):  # so that it is known how long jobs take
                job.send_with_options(args=("warm",), org="warm")
            broker.join("q", timeout=20_000)
            ran.clear()
            began_s = time.monotonic()
            for number in range(4):  # something is running, then the patient org sends
                job.send_with_options(args=("first",), org=f"first{number}")
            for _ in range(5):
                job.send_with_options(args=("patient",), org="patient")
            sent = 0
            while time.monotonic() < began_s + STREAM_S:
                org = f"new{sent:06d}" if mode == "fresh" else f"regular{sent % 5}"
                job.send_with_options(args=(org,), org=org)
                sent += 1
                pause(EVERY_S)
            broker.join("q", timeout=60_000)
    patient = [round(at_s - began_s, 2) for name, at_s in ran if name == "patient"]
    order = [int(name[3:]) for name, _ in ran if name.startswith("new")]
    # Of each newcomer: how many of those that ran before it came after it.
    overtaken = max(
        (sum(other > number for other in order[:place]) for place, number in enumerate(order)), default=0
    )
    print(f"{mode}: {sent} newcomers; the patient org's five ran at {patient} s; most overtaken {overtaken}")
    faults = []
    if patient[-1] > PATIENT_WITHIN_S:
        faults.append(f"{mode}: the patient org's last job ran after {patient[-1]:.1f} s")
    if overtaken > THREADS:
        faults.append(f"{mode}: a newcomer was overtaken by {overtaken} that came later")
    return faults


if __name__ == "__main__":
    verdict(main)
