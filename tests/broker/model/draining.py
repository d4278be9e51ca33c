"""The end of a play: one worker runs whatever is left."""

from broker.leasing.lease import DONE
from tests.broker.model.fleet import LASTING, QUEUES, Fleet
from tests.broker.model.structure import Broken


def drain(fleet: Fleet) -> None:
    """Let one worker run whatever is there; in the end nothing is left but configuration.

    Raises:
        Broken: something does not run, or something is left.
    """
    for number in range(len(fleet.workers)):
        fleet.put_to_sleep(number)
    fleet.workers = fleet.workers[:1]
    worker = fleet.workers[0]
    worker.mode = "any"
    for source in list(fleet.gates):
        fleet.shut(source, {})
    idle = 0
    while fleet.state.records:
        fetched = [lease for queue in QUEUES for lease in fleet.fetch(worker, queue, 5)]
        for lease in fetched:
            worker.end(lease, DONE)
        fleet.flush(worker)
        idle = 0 if fetched else idle + 1
        if not fetched:
            # Whoever waits is told for how long; after five seconds everybody looks by himself.
            due_ms = [ms for ms in worker.due_ms.values() if ms >= 0]
            fleet.advance(max(5_000, min(due_ms, default=0)))
        if idle > 50:
            raise Broken(f"9: {sorted(fleet.state.records)} never run")
    for sleeper in fleet.sleepers:
        for lease in list(sleeper.holds):
            sleeper.end(lease, DONE)
        fleet.flush(sleeper)
        sleeper.finished.clear()
        fleet.run("leave", sleeper.worker_id)
    fleet.leave(0)
    left = {name for name in fleet.state.lasting - LASTING if not name.startswith("op:")}
    if left:
        raise Broken(f"1: {sorted(left)} are left, and nothing would ever remove them")
