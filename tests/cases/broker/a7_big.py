"""Scale: one org with very many messages (`one`), as many delayed and due at once (`delayed`), big messages (`fat`).

Arguments: one MESSAGES, delayed MESSAGES, or fat MESSAGES KIB; default one 100000, delayed 100000, fat 256 1024.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import subprocess
import time

import dramatiq

from broker import Inspector, Operations
from tests.cases.kit import (
    broker_on,
    client_of,
    eventually,
    memory_of,
    outcome,
    own_server,
    pause,
    verdict,
    working,
)
from tests.cases.scale import LARGE, Scripts, batches, beyond, grown, said, scripts_of

#: Bytes that a message takes where very many wait: 362, and 1 % for what is to come; a delayed one 402, and 30 %.
MOST_BYTES_READY, MOST_BYTES_DELAYED = 366, 523
#: What is to be cleaned is all of it, the last one counted.
LEFT = 0
#: Megabytes by which a worker may grow whose eight threads run messages of one: what is fetched ahead is bounded.
MOST_WORKER_MB = 64

SENT_PER_S = 9_000

Costs = dict[str, Scripts[object]]


def main() -> list[str]:
    """What is wrong."""
    given = sys.argv[1:]
    counts = [int(each) for each in given[1:]]
    faults: list[str] = []
    for mode, count in {"one": LARGE, "delayed": LARGE}.items():
        if given[:1] in ([], [mode]):
            large = counts[0] if counts else count
            measure = _one if mode == "one" else _delayed
            found = [measure(each, faults) for each in (large // 10, large)]
            faults += grown(*found)
    if given[:1] in ([], ["fat"]):
        faults += _fat(*(counts or [256, 1024]))
    return faults


def _one(count: int, faults: list[str]) -> Costs:
    print(f"one org, {count} messages")
    found: Costs = {}
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)
        look, operations = Inspector(client, broker.base), Operations(client, broker.base)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None: ...

        def cost(name: str, call: object) -> None:
            assert callable(call)
            found[name] = scripts_of(client, lambda: outcome(call))
            print(said(name, found[name]), flush=True)

        def fill() -> None:
            for part in batches(count):
                broker.send_many(job.message_with_options(args=(each,), org="acme") for each in part)

        def fetch() -> bool:
            with broker_on(url) as other:
                other.declare_queue("q")
                return next(other.consume("q", timeout=500)) is not None

        before = memory_of(client)
        cost("sending", fill)
        each_bytes = (memory_of(client) - before) / count
        last = job.message_with_options(args=(-1,), org="acme")
        broker.enqueue(last)
        cost("why, of the last", lambda: look.why(last.message_id).text)
        cost("priority, of the last", lambda: operations.set_priority(last.message_id, -5))
        cost("depth", lambda: look.depth("q"))
        cost("causes, for metrics", lambda: look.parked_by_cause("q"))
        broker.shut("pauses", {"o:acme": (0, "paused")})
        cost("a fetch from the paused org", fetch)
        cost("its end", lambda: broker.shut("pauses", {}))
        cost("the first fetch after it", fetch)
        cost("clean, dry run", lambda: operations.clean("q", dry_run=True))
        cost("clean", lambda: operations.clean("q"))
        left = broker.do_qsize("q")
    print(f"  {each_bytes:.0f} bytes a message; {left} left")
    if count >= LARGE and each_bytes > MOST_BYTES_READY:
        faults.append(f"one: {each_bytes:.0f} bytes a message")
    if left != LEFT:
        faults.append(f"one: clean leaves {left} of {count + 1}")
    return found


def _delayed(count: int, faults: list[str]) -> Costs:
    print(f"{count} delayed messages of one org, due at once")
    done: list[int] = []
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None:
            done.append(number)

        before = memory_of(client)
        due_s = time.time() + 2 + count / SENT_PER_S
        for part in batches(count):
            delay_ms = max(1, int((due_s - time.time()) * 1_000))
            broker.send_many(
                (job.message_with_options(args=(each,), org="acme") for each in part), delay=delay_ms
            )
        each_bytes = (memory_of(client) - before) / count
        pause(due_s - time.time())
        with working(broker, threads=8):
            taken = scripts_of(client, lambda: eventually(lambda: len(done) == count, 60))
        print(said("all of them", taken))
    print(f"  {each_bytes:.0f} bytes a message; {len(done)} done")
    if count >= LARGE and each_bytes > MOST_BYTES_DELAYED:
        faults.append(f"delayed: {each_bytes:.0f} bytes a message")
    if len(done) != count:
        faults.append(f"delayed: {len(done)} of {count} done")
    return {"promotion": taken}


def _fat(count: int, kib: int) -> list[str]:
    print(f"{count} messages of {kib} KiB")
    faults = []
    body = "x" * (kib * 1024)
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(body: str) -> None: ...

        def send() -> int:
            answers = broker.send_many(job.message(body) for _ in range(count))
            return sum(not isinstance(each, Exception) for each in answers)

        sent = scripts_of(client, send)
        print(said("sending", sent))
        # First small ones, so that the worker knows how short jobs are, and fetches ahead.
        broker.send_many(job.message_with_options(args=("",), priority=-100) for _ in range(2_000))
        fetched = scripts_of(client, lambda: _worker_elsewhere(url))
        print(said("working", fetched))
        left, grown_mb = broker.do_qsize("q"), fetched.result
    print(f"  the worker grew by {grown_mb:.0f} MB")
    if sent.result != count or left:
        faults.append(f"fat: {sent.result} of {count} sent, {left} left")
    if grown_mb > MOST_WORKER_MB:
        faults.append(f"fat: the worker grew by {grown_mb:.0f} MB")
    return faults + beyond("fat, sending", sent) + beyond("fat, fetching", fetched)


def _worker_elsewhere(url: str) -> float:
    """Megabytes by which a worker process grows that works all there is."""
    worker = subprocess.run(
        [sys.executable, __file__, "worker", url], check=True, capture_output=True, text=True
    )
    return float(worker.stdout)


def _worker(url: str) -> None:
    with broker_on(url) as broker:

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(body: str) -> None: ...

        before_kb = _most_kb()
        with working(broker, threads=8):
            eventually(lambda: broker.do_qsize("q") == 0, 60)
        print((_most_kb() - before_kb) / 1024)


def _most_kb() -> int:
    """The most memory that this process has had. Not `getrusage`, which counts what was before this program."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        _worker(sys.argv[2])
    else:
        verdict(main)
