"""An org whose messages have each a concurrency key of its own (`doc:<id>`): how long does a script hold the server?

The actor is paused, resumed and limited to a rate, and operators look at it.
Argument: the larger number of messages; default 100000. The smaller one is a tenth.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq

from broker import FairRedisBroker, Inspector, Operations
from tests.cases.kit import broker_on, client_of, outcome, own_server, pause, verdict
from tests.cases.scale import LARGE, Rate, Scripts, batches, grown, said, scripts_of

#: The bounds on growth are those of `scale`. What is to be dropped is counted exactly.
COUNTED_SHARE = 1.0

Costs = dict[str, Scripts[object]]


def main() -> list[str]:
    """What is wrong."""
    large = int(sys.argv[1]) if sys.argv[1:] else LARGE
    faults = []
    costs: list[Costs] = []
    for count in (large // 10, large):
        costs.append(_costs(count))
        counted = costs[-1]["clean, dry run"].result
        if counted != count * COUNTED_SHARE:
            faults.append(f"clean's dry run says {counted} of {count}")
    return faults + grown(*costs)


def _costs(count: int) -> Costs:
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

        def fetch() -> int:
            # A process of its own each time: what it fetched goes back when it ends.
            with broker_on(url) as other:
                return _fetched(other)

        print(f"{count} lanes of one org")
        for part in batches(count):
            broker.send_many(
                job.message_with_options(args=(number,), org="acme", concurrency=(f"doc:{number}", 1))
                for number in part
            )
        cost("a fetch", fetch)
        broker.shut("pauses", {"a:job": (0, "paused")})
        cost("the first fetch after a pause", fetch)
        cost("causes, for metrics", lambda: look.parked_by_cause("q"))
        cost("depth", lambda: look.depth("q"))
        cost("depth of the org", lambda: look.depth("q", org="acme"))
        cost("lanes", lambda: len(look.lanes("q")))
        cost("waiting", lambda: len(list(look.waiting("q"))))
        cost("queue_state", lambda: look.queue_state("q"))
        cost("clean, dry run", lambda: operations.clean("q", dry_run=True))
        cost("resume", lambda: broker.shut("pauses", {}))
        cost("the first fetch after it", fetch)
        broker.enforce(Rate("job", interval_ms=1_000))
        for number in range(3):
            cost(f"a fetch under a rate, number {number}", fetch)
            pause(1.05)
    return found


def _fetched(broker: FairRedisBroker) -> int:
    broker.declare_queue("q")
    consumer = broker.consume("q", prefetch=8, timeout=10)
    return sum(next(consumer) is not None for _ in range(8))


if __name__ == "__main__":
    verdict(main)
