"""Very many orgs with one message each: memory, views, a pause of their actor, its end, and `clean`.

Argument: the larger number of orgs; default 100000. The smaller one is a tenth.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import time

import dramatiq

from broker import Inspector, Operations
from tests.cases.kit import broker_on, client_of, eventually, memory_of, outcome, own_server, verdict, working
from tests.cases.scale import FLOOR_MS, LARGE, MOST_GROWTH, Scripts, batches, grown, said, scripts_of

#: Bytes that an org takes with its one waiting message, where there are very many: 653, and 15 % for what is to come.
MOST_BYTES = 751

Costs = dict[str, Scripts[object]]


def main() -> list[str]:
    """What is wrong."""
    large = int(sys.argv[1]) if sys.argv[1:] else LARGE
    faults: list[str] = []
    runs = [_run(count, faults) for count in (large // 10, large)]
    (small_ms, small), (large_ms, big) = runs
    if large_ms > max(5 * FLOOR_MS, MOST_GROWTH * small_ms):
        faults.append(f"a job of another actor waits {small_ms:.0f} ms, then {large_ms:.0f}")
    return faults + grown(small, big)


def _run(count: int, faults: list[str]) -> tuple[float, Costs]:
    found: Costs = {}
    waited_ms: list[float] = []
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)
        look, operations = Inspector(client, broker.base), Operations(client, broker.base)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None: ...

        @dramatiq.actor(queue_name="q", broker=broker)
        def alive(sent_s: float) -> None:
            waited_ms.append((time.time() - sent_s) * 1_000)

        def cost(name: str, call: object) -> None:
            assert callable(call)
            found[name] = scripts_of(client, lambda: outcome(call))
            print(said(name, found[name]), flush=True)

        def fill() -> None:
            for part in batches(count):
                broker.send_many(
                    job.message_with_options(args=(number,), org=f"org{number:06d}") for number in part
                )

        def views(when: str) -> None:
            cost(f"{when}: queue_state", lambda: look.queue_state("q"))
            cost(f"{when}: causes, for metrics", lambda: look.parked_by_cause("q"))
            cost(f"{when}: depth", lambda: look.depth("q"))
            cost(f"{when}: lanes", lambda: len(look.lanes("q")))
            cost(f"{when}: waiting", lambda: len(list(look.waiting("q"))))
            cost(f"{when}: clean, dry run", lambda: operations.clean("q", dry_run=True))

        print(f"{count} orgs")
        before = memory_of(client)
        cost("sending", fill)
        each_bytes = (memory_of(client) - before) / count
        views("open")
        broker.shut("pauses", {"a:job": (0, "paused")})
        with working(broker, threads=4):
            alive.send_with_options(args=(time.time(),), org="zzz")
            cost("setting all aside", lambda: eventually(lambda: waited_ms, 60))
        views("paused")
        cost("the pause's text changes", lambda: broker.shut("pauses", {"a:job": (0, "paused again")}))
        cost("resume", lambda: broker.shut("pauses", {}))
        cost("clean", lambda: operations.clean("q"))
        left = broker.do_qsize("q")
    print(f"  {each_bytes:.0f} bytes an org; a job of another actor waited {waited_ms} ms; left {left}")
    for name in ("open: clean, dry run", "paused: clean, dry run", "clean"):
        if found[name].result != count:
            faults.append(f"{name} says {found[name].result} of {count}")
    if left:
        faults.append(f"clean leaves {left} of {count}")
    if count >= LARGE and each_bytes > MOST_BYTES:
        faults.append(f"{each_bytes:.0f} bytes an org")
    return (waited_ms or [float("inf")])[0], found


if __name__ == "__main__":
    verdict(main)
