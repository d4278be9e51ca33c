"""The server's clock steps while things are under way: an NTP step, or a fail-over to a machine whose clock differs.

A worker was killed while it held a job, a message is delayed, an actor has a rate: each of the three goes on.
Needs libfaketime, which the tests' packages bring for Linux on x86-64; elsewhere LIBFAKETIME names it.
Arguments: seconds; default -600, then 600.
"""

import sys
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import os
import signal
import time

import dramatiq

from tests.cases.kit import Missing, broker_on, client_of, eventually, own_server, pause, verdict, working
from tests.cases.scale import Rate
from tests.folders import open_folder

HEARTBEAT_TIMEOUT_S = 6.0
#: Each of the three goes on so soon after it would have without the step.
GOES_ON_WITHIN_S = HEARTBEAT_TIMEOUT_S + 1.0

DELAY_S, RATE_S = 3.0, 2.0


def main() -> list[str]:
    """What is wrong."""
    library = _faketime()
    steps = [int(each) for each in sys.argv[1:]] or [-600, 600]
    return [fault for step in steps for fault in _step(library, step)]


def _step(library: Path, step_s: int) -> list[str]:
    with open_folder() as folder:
        offset = folder / "offset"
        offset.write_text("+0")
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with own_server(environment=environment) as url:
            return _under_way(url, offset, step_s)


def _under_way(url: str, offset: Path, step_s: int) -> list[str]:
    ran: dict[str, float] = {}
    client = client_of(url)
    with broker_on(url, heartbeat_timeout=int(HEARTBEAT_TIMEOUT_S * 1_000)) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(name: str, takes_s: float = 0) -> None:
            ran[name] = time.monotonic()
            pause(takes_s)

        @dramatiq.actor(queue_name="rated", broker=broker)
        def rated(number: int) -> None:
            ran[f"rated {number}"] = time.monotonic()

        broker.enforce(Rate("rated", interval_ms=RATE_S * 1_000))
        held = os.fork()
        if held == 0:  # a worker that is killed while it holds a job
            job.send("held", 30)
            with working(broker, threads=1, queues={"q"}):
                pause(60)
            os._exit(0)
        pause(2.5)
        for number in range(3):
            rated.send_with_options(args=(number,), org="acme")
        job.send_with_options(args=("delayed",), delay=int(DELAY_S * 1_000))
        with working(broker, threads=4):
            pause(1)
            os.kill(held, signal.SIGKILL)
            os.waitpid(held, 0)
            offset.write_text(f"{step_s:+d}")
            stepped_s = time.monotonic()
            if not eventually(lambda: abs(client.time()[0] - time.time() - step_s) < 2, 5):
                raise Missing("a libfaketime that this server heeds")
            waits_s = {"held": 0.0, "delayed": DELAY_S, "rated 1": RATE_S, "rated 2": 2 * RATE_S}
            eventually(lambda: waits_s.keys() <= ran.keys(), 2 * GOES_ON_WITHIN_S)
    late_s = {name: ran.get(name, float("inf")) - stepped_s - wait_s for name, wait_s in waits_s.items()}
    print(f"{step_s:+d} s: late by { ({name: round(each, 1) for name, each in late_s.items()}) } s")
    return [
        f"{step_s:+d} s: {name} does not go on" for name, each in late_s.items() if each > GOES_ON_WITHIN_S
    ]


def _faketime() -> Path:
    named = os.environ.get("LIBFAKETIME")
    library = Path(named or str(files("libfaketime") / "vendor/libfaketime/src/libfaketime.so.1"))
    if not library.exists():
        raise Missing("libfaketime. Debian, Ubuntu: apt-get install libfaketime, and name it in LIBFAKETIME")
    return library


if __name__ == "__main__":
    verdict(main)
